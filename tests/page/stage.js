/** A page without a browser: happy-dom, frames and nearness that a test decides, and an app that notes what it is asked. */

import { Window } from "happy-dom";
import { Turns } from "../../chatanywhere_magic/panel/page/turns.js";

/** @type {Map<number, () => void>} */
const frames = new Map();
let count = 0;
/** @type {NearnessObserver[]} */
const observers = [];

/** There is no layout here: a test says what is near. */
class NearnessObserver {
  constructor(callback) {
    this.callback = callback;
    this.observed = new Set();
    observers.push(this);
  }

  observe(target) {
    this.observed.add(target);
  }

  unobserve(target) {
    this.observed.delete(target);
  }

  disconnect() {
    this.observed.clear();
  }
}

/** More than any test needs: somebody paints without end. */
const MANY = 100;

/** Paint the frame that is due, and those that it asks for. */
export function paint() {
  for (let painted = 0; frames.size; painted += 1) {
    if (painted === MANY) throw new Error("it never stops to paint");
    const due = [...frames.values()];
    frames.clear();
    for (const frame of due) frame();
  }
}

/**
 * Have the window come near elements, or leave them.
 *
 * @param {Iterable<Element>} targets
 */
export function near(targets, isIntersecting = true) {
  for (const { callback, observed } of observers) {
    const entries = [...targets].filter((target) => observed.has(target)).map((target) => ({ target, isIntersecting }));
    if (entries.length) callback(entries);
  }
  paint();
}

/** Let everything happen that waits for promises only. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

/** Begin with an empty page. */
export function open() {
  const window = new Window({ url: "http://localhost/" });
  frames.clear();
  observers.length = 0;
  window.Element.prototype.scrollIntoView = () => {};
  Object.defineProperty(window.Element.prototype, "ariaLabel", {
    configurable: true, // windows may share it
    get() {
      return this.getAttribute("aria-label");
    },
  });
  window.setTimeout = (...parts) => setTimeout(...parts); // which a test may mock
  window.clearTimeout = (timer) => clearTimeout(timer);
  for (const name of ["document", "Event", "KeyboardEvent", "HTMLElement", "localStorage"]) globalThis[name] = window[name];
  globalThis.window = window;
  globalThis.ResizeObserver = NearnessObserver;
  globalThis.IntersectionObserver = NearnessObserver;
  globalThis.requestAnimationFrame = (frame) => {
    count += 1;
    frames.set(count, frame);
    return count;
  };
  return window.document.body;
}

/** @param {Element} target @param {string} key @returns {Event} */
export function press(target, key, fields = {}) {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...fields });
  target.dispatchEvent(event);
  return event;
}

/**
 * An app of which a part makes use. `calls` holds what was asked of it; `answers` what it answers to a command, `{ok: true}`
 * by default.
 */
export function stand(fields = {}) {
  const calls = [];
  const answers = {};
  const note = (name, value) => (...parts) => {
    calls.push([name, ...parts]);
    return value;
  };
  const asked = (command) => answers[command] ?? Promise.resolve({ ok: true });
  return {
    calls,
    answers,
    commands: [],
    language: "en",
    turns: new Turns(),
    notebook: { path: "a.ipynb", has: () => true, goTo: note("goTo"), typeset: note("typeset") },
    say: (key, values) => [key.replace("panel.", ""), ...Object.values(values ?? {})].join(" "),
    ask: (command, ...parts) => note("ask")(command, ...parts) ?? asked(command),
    act: (command, ...parts) => note("act")(command, ...parts) ?? asked(command),
    post: (...parts) => note("post")(...parts) ?? asked("send"),
    ...Object.fromEntries(["tell", "stop", "fetch", "cancel", "remove", "copy", "insertCode", "replaceCode", "logIn", "chooseModel", "wayOut"].map((name) => [name, note(name)])),
    ...fields,
  };
}

/** Everything about a turn but its answer, as the kernel tells it. */
export const head = (fields = {}) => ({
  prompt: "Why?",
  chips: [],
  source: "panel",
  cell: "",
  started: 0,
  status: "complete",
  waiting: "",
  problem: null,
  footer: "",
  version: 1,
  versions: 1,
  pinned: false,
  calls: "",
  approvals: [],
  proceeds: false,
  ...fields,
});

/** @param {ParentNode} root @returns {string[]} what its buttons are called */
export const labels = (root) => [...root.querySelectorAll("button")].map((each) => each.getAttribute("aria-label") ?? each.textContent);

/** Click the button that is called `label`. @param {ParentNode} root @param {string} label */
export function click(root, label) {
  const found = [...root.querySelectorAll("button")].find((each) => (each.getAttribute("aria-label") ?? each.textContent) === label);
  if (!found) throw new Error(`there is no ${label} among ${labels(root).join(", ")}`);
  found.click();
}
