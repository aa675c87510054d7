/** A call of a tool that waits for the person's answer: all of it, and the answers. */

import { element } from "./dom.js";

/** @import { Approval } from "./protocol.js" */

/**
 * @param {Approval} approval
 * @param {(key: string) => string} say
 * @param {(fields: {approval: string, answer: string, reason?: string, edited?: string}) => void} answer
 * @returns {HTMLElement}
 */
export function approvalCard(approval, say, answer) {
  const code = element("div", { class: "chatanywhere-card-code jp-RenderedHTMLCommon" });
  code.innerHTML = approval.html; // made by the kernel's renderer, from which nothing can run
  const edited =
    approval.editable === null
      ? null
      : element("textarea", {
          class: "chatanywhere-field chatanywhere-card-edit",
          "aria-label": say("approval.edit"),
          spellcheck: "false",
          hidden: true,
          rows: Math.min(16, approval.editable.split("\n").length + 1),
        });
  if (edited) edited.value = approval.editable ?? "";
  const reason = element("input", {
    type: "text",
    class: "chatanywhere-field chatanywhere-card-reason",
    placeholder: say("approval.reason"),
    "aria-label": say("approval.reason"),
    maxlength: 2000,
  });
  let isOver = false;
  const give = (/** @type {string} */ word) => {
    if (isOver) return;
    isOver = true;
    for (const button of card.querySelectorAll("button")) button.disabled = true;
    const fields = { approval: approval.id, answer: word, reason: word === "no" ? reason.value : "" };
    answer(edited && !edited.hidden && word !== "no" ? { ...fields, edited: edited.value } : fields);
  };
  reason.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    give("no");
  });
  const labels = {
    once: say("approval.once"),
    always: say(approval.trusts_turn ? "approval.always_turn" : "approval.always"),
    no: say("approval.no"),
  };
  const buttons = approval.answers.map((word) =>
    element("button", {
      type: "button",
      class: "chatanywhere-button",
      "data-answer": word,
      text: labels[/** @type {"once" | "always" | "no"} */ (word)],
      click: () => give(word),
    }),
  );
  const edit =
    edited &&
    element("button", {
      type: "button",
      class: "chatanywhere-button",
      "data-answer": "edit",
      text: say("approval.edit"),
      click: () => {
        edited.hidden = false;
        code.hidden = true;
        edited.focus();
      },
    });
  const card = element(
    "section",
    { class: "chatanywhere-card", "aria-label": approval.title, "data-approval": approval.id },
    element("div", { class: "chatanywhere-card-title", text: approval.title }),
    code,
    edited,
    element("div", { class: "chatanywhere-remedies" }, ...buttons.slice(0, -1), edit, ...buttons.slice(-1), reason),
  );
  return card;
}
