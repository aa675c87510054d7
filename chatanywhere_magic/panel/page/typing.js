/** What keys and words in the composer mean. No page is needed for it. */

/**
 * @typedef {object} Key
 * @property {string} key
 * @property {string} [code]
 * @property {boolean} [shiftKey]
 * @property {boolean} [ctrlKey]
 * @property {boolean} [metaKey]
 * @property {boolean} [altKey]
 * @property {boolean} [isComposing]
 * @property {number} [keyCode]
 *
 * @typedef {object} Situation
 * @property {boolean} menu whether completions are shown
 * @property {boolean} empty whether the box is empty, or shows a question that was recalled
 * @property {boolean} running whether an answer is on its way
 *
 * @typedef {"send" | "newline" | "stop" | "older" | "newer" | "accept" | "up" | "down" | "dismiss" | "type"} Meaning
 */

/**
 * @param {Key} event
 * @param {Situation} situation
 * @returns {Meaning}
 */
export function meaning(event, situation) {
  // An input method's own keys: Enter takes its word, the arrows choose one. Safari says so by the code alone.
  if (event.isComposing || event.keyCode === 229) return "type";
  const bare = !event.shiftKey && !event.ctrlKey && !event.metaKey && !event.altKey;
  if (situation.menu && bare) {
    if (event.key === "Enter" || event.key === "Tab") return "accept";
    if (event.key === "ArrowUp") return "up";
    if (event.key === "ArrowDown") return "down";
    if (event.key === "Escape") return "dismiss";
  }
  if (event.key === "Enter") return event.shiftKey || event.altKey ? "newline" : "send";
  if (event.key === "Escape" && situation.running) return "stop";
  if (event.key === "ArrowUp" && bare && situation.empty) return "older";
  if (event.key === "ArrowDown" && bare && situation.empty) return "newer";
  return "type";
}

/**
 * Whether a key may travel on to the notebook, where Shift+Enter runs the cell and plain letters are commands.
 *
 * @param {Key} event
 * @returns {boolean}
 */
export function mayTravel(event) {
  return Boolean(event.ctrlKey || event.metaKey) && event.key !== "Enter" && !undoOrRedo(event);
}

/**
 * Whether a key undoes or redoes: Ctrl+Z, Ctrl+Shift+Z, Ctrl+Y, and with Cmd; by its place where letters are not Latin.
 *
 * @param {Key} event
 * @returns {"undo" | "redo" | null}
 */
export function undoOrRedo(event) {
  if (!(event.ctrlKey || event.metaKey) || event.altKey || event.isComposing) return null;
  const letter = (/^[a-z]$/iu.test(event.key) ? event.key : (event.code ?? "").replace("Key", "")).toLowerCase();
  if (letter === "z") return event.shiftKey ? "redo" : "undo";
  return letter === "y" && !event.shiftKey ? "redo" : null;
}

/**
 * @typedef {object} Word a word that can be completed
 * @property {"@" | "/"} mark
 * @property {string} word what stands behind the mark, up to the caret
 * @property {number} start where the mark stands
 * @property {number} end where the caret stands
 */

/**
 * Return the word at the caret if it can be completed: `@name` anywhere, `/command` at the very beginning.
 *
 * @param {string} text
 * @param {number} caret
 * @returns {Word | null}
 */
export function wordAt(text, caret) {
  const before = text.slice(0, caret);
  const command = /^\/([a-z_]*)$/u.exec(before);
  if (command) return { mark: "/", word: command[1], start: 0, end: caret };
  // Not after a letter, a digit or a backslash: an address holds an @ too, and \@ is how one is written as such.
  const name = /(^|[^\p{L}\p{N}\\_.])@((?:[\p{L}\p{N}_.:\]'"/-]|\[[^[\]\n]*\]?)*)$/u.exec(before);
  if (!name) return null;
  return { mark: "@", word: name[2], start: caret - name[2].length - 1, end: caret };
}

/**
 * Return the command that `text` is, or null if it is a question, as every text is whose first word is none of `names`.
 *
 * @param {string} text
 * @param {string[]} names
 * @returns {{name: string, argument: string} | null}
 */
export function commandIn(text, names) {
  const match = /^\/([a-z_]+)(?:\s+([\s\S]*))?$/u.exec(text.trim());
  if (!match || !names.includes(match[1])) return null;
  return { name: match[1], argument: (match[2] ?? "").trim() };
}

/**
 * Whether the text of a clipboard is nothing but the names or paths of the files beside it: a file manager copies both.
 *
 * @param {string} text
 * @param {string[]} names
 * @returns {boolean}
 */
export function isNames(text, names) {
  const known = names.map((name) => name.normalize());
  return text.split(/[\r\n\0]+/u).every((line) => {
    const path = line.trim().replace(/^(["'])(.*)\1$/u, "$2");
    const last = path.split(/[/\\]/u).pop() ?? "";
    if (["", "copy", "cut", "x-special", "nautilus-clipboard"].includes(last)) return true;
    return [last, path.startsWith("file:") ? unescaped(last) : last].some((name) => known.includes(name.normalize()));
  });
}

/** @param {string} part of an address */
function unescaped(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** What was asked before, under Up and Down. */
export class Recall {
  #at = -1;

  /**
   * @param {string[]} prompts the last one first
   * @param {1 | -1} step 1 goes back in time
   * @returns {string | null} what the box is to hold; null where there is nothing in that direction
   */
  move(prompts, step) {
    const next = this.#at + step;
    if (next < -1 || next >= prompts.length) return null;
    this.#at = next;
    return next === -1 ? "" : prompts[next];
  }

  /** Begin with the last question again. */
  reset() {
    this.#at = -1;
  }

  /** @returns {boolean} whether the box shows a question that was recalled */
  get active() {
    return this.#at >= 0;
  }
}
