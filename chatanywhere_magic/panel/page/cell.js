/** A card in the output of the cell that waits for its answer. anywidget calls `render` for every place where it is shown. */

import { approvalCard } from "./card.js";
import { element } from "./dom.js";

/** @import { AnyModel, FromKernel } from "./protocol.js" */

/** @param {{model: AnyModel, el: HTMLElement}} place */
function render({ model, el }) {
  /** @type {Record<string, string>} */
  const strings = model.get("strings");
  const note = element("div", { class: "chatanywhere-state", role: "status" });
  const card = approvalCard(
    model.get("card"),
    (key) => strings[key] ?? key,
    (fields) => model.send({ type: "approve", ...fields }),
  );
  const root = element("div", { class: "chatanywhere-root chatanywhere-in-cell" }, card, note);
  // What is typed into the card is not for the notebook.
  root.addEventListener("keydown", (event) => event.stopPropagation());
  const keys = () => root.toggleAttribute("data-lm-suppress-shortcuts", root.contains(document.activeElement));
  window.addEventListener("keydown", keys, true);
  const heard = (/** @type {FromKernel} */ message) => {
    if (message.type === "answer") note.textContent = message.words ?? "";
  };
  model.on("msg:custom", heard);
  el.append(root);
  model.send({ type: "hello", page: "cell" });
  return () => {
    model.off("msg:custom", heard);
    window.removeEventListener("keydown", keys, true);
  };
}

export default { render };
