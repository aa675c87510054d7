/**
 * Undo and redo of a text box. The browser's own forget what a script wrote, and share one history with the whole page:
 * where the box's ends, Ctrl+Z would change a cell.
 */

import { undoOrRedo } from "./typing.js";

/**
 * @typedef {{text: string, start: number, end: number}} Written what stands in a box, and the selection
 */

/** Characters of all texts that are kept. */
const MOST = 4_000_000;

export class History {
  /** @type {Written[]} */
  #past = [];
  /** @type {Written[]} */
  #future = [];
  #now;
  #kind = "";

  /** @param {Written} now */
  constructor(now) {
    this.#now = now;
  }

  /**
   * Note what is written now. What is typed in a row is one step for each word.
   *
   * @param {Written} now
   * @param {string} [kind] of a change by the person, as in `InputEvent.inputType`
   */
  note(now, kind = "") {
    const before = this.#now;
    if (now.text === before.text) return;
    const letter = now.text.slice(before.end, now.start);
    const isNewWord = kind === "insertText" && (/\s$/u.test(before.text.slice(0, before.end)) || letter.length !== 1) && letter !== " ";
    if (!kind || kind !== this.#kind || isNewWord) this.#past.push(before);
    for (let size = this.#past.reduce((sum, each) => sum + each.text.length, 0); size > MOST; ) {
      size -= this.#past.shift()?.text.length ?? size;
    }
    this.#future = [];
    this.#now = now;
    this.#kind = kind;
  }

  /** Let what is typed next be a step of its own. */
  pause() {
    this.#kind = "";
  }

  /**
   * @param {"undo" | "redo"} what
   * @returns {Written | null} what the box is to hold; null where there is nothing in that direction
   */
  step(what) {
    const [from, to] = what === "undo" ? [this.#past, this.#future] : [this.#future, this.#past];
    const found = from.pop();
    if (!found) return null;
    to.push(this.#now);
    this.#now = found;
    this.#kind = "";
    return found;
  }
}

/**
 * Give `box` a history of its own.
 *
 * @param {HTMLTextAreaElement} box
 * @param {() => void} [changed] called when something was undone or redone
 * @returns {() => void} to be called when a script has written into the box
 */
export function keepHistory(box, changed) {
  const written = () => ({ text: box.value, start: box.selectionStart, end: box.selectionEnd });
  const history = new History(written());
  /** @param {"undo" | "redo"} what */
  const step = (what) => {
    const found = history.step(what);
    if (!found) return;
    box.value = found.text;
    box.setSelectionRange(found.start, found.end);
    changed?.();
  };
  box.addEventListener("keydown", (event) => {
    const what = undoOrRedo(event);
    if (!what) return;
    event.preventDefault();
    event.stopPropagation();
    step(what);
  });
  box.addEventListener("beforeinput", (event) => {
    if (event.inputType !== "historyUndo" && event.inputType !== "historyRedo") return;
    event.preventDefault();
    step(event.inputType === "historyUndo" ? "undo" : "redo");
  });
  box.addEventListener("input", (event) => history.note(written(), /** @type {InputEvent} */ (event).inputType));
  box.addEventListener("compositionend", () => history.pause());
  return () => history.note(written());
}
