/**
 * What the page around the panel offers: formulas, the notebook's cells, the kernel. All of it is the widget manager's,
 * and any of it may be missing in other front ends, which is said by a return value and never by an exception.
 */

/** @import { AnyModel } from "./protocol.js" */

const GONE = new Set(["dead", "restarting", "autorestarting", "terminating"]);

export class Notebook {
  #manager;
  #element;

  /**
   * @param {AnyModel} model
   * @param {HTMLElement} element of the panel
   */
  constructor(model, element) {
    this.#manager = model.widget_manager;
    this.#element = element;
  }

  /** @returns {string} what tells this notebook from others in one browser */
  get path() {
    return this.#manager?.context?.path ?? this.#manager?.kernel?.id ?? "";
  }

  /** @returns {boolean} */
  get isBusy() {
    return this.#manager?.kernel?.status === "busy";
  }

  /** @returns {boolean} whether the kernel reads the panel's messages while a cell runs: beside it, in a subshell */
  get hearsWhileBusy() {
    const kernel = this.#manager?.kernel;
    return Boolean(kernel?.supportsSubshells) && kernel.commsOverSubshells !== "disabled";
  }

  /** @returns {boolean} */
  get hasCells() {
    return Boolean(this.#cells());
  }

  /**
   * Have the formulas in `element` typeset, by the MathJax with which Jupyter typesets its own outputs.
   *
   * @param {HTMLElement} element
   */
  typeset(element) {
    const rendermime = this.#manager?.rendermime ?? this.#manager?._rendermime;
    rendermime?.latexTypesetter?.typeset(element);
  }

  /** Interrupt the kernel, beside the queue of its messages. @returns {boolean} whether that could be asked for */
  interrupt() {
    const kernel = this.#manager?.kernel;
    if (!kernel?.interrupt) return false;
    kernel.interrupt().catch(() => {});
    return true;
  }

  /**
   * @param {() => void} gone called when the kernel has died or is started again: the panel's end is gone with it
   * @returns {() => void} ends it
   */
  watchKernel(gone) {
    const signal = this.#manager?.context?.sessionContext?.statusChanged ?? this.#manager?.kernel?.statusChanged;
    if (!signal) return () => {};
    /** @type {(sender: unknown, status: string) => void} */
    const changed = (_, status) => {
      if (GONE.has(status)) gone();
    };
    signal.connect(changed);
    return () => signal.disconnect(changed);
  }

  /**
   * Add a code cell, below `cell` or else below the active one. It is not run.
   *
   * @param {string} code
   * @param {string} [cell] id
   * @returns {boolean} whether there is a notebook to do it in
   */
  insertBelow(code, cell = "") {
    const cells = this.#cells();
    if (!cells) return false;
    const at = cell ? this.#indexOf(cell) : this.#active();
    this.#manager.context.model.sharedModel.insertCell(at < 0 ? cells.length : at + 1, {
      cell_type: "code",
      source: code,
      metadata: {},
    });
    return true;
  }

  /**
   * Replace what the active cell holds with code; the notebook's own undo restores it.
   *
   * @param {string} code
   * @returns {boolean} whether there is a code cell to do it in
   */
  replaceActive(code) {
    const cell = this.#cells()?.[this.#active()];
    if (cell?.cell_type !== "code") return false;
    cell.setSource(code);
    return true;
  }

  /**
   * @param {string} cell id
   * @returns {boolean} whether the notebook has it
   */
  has(cell) {
    return this.#indexOf(cell) >= 0;
  }

  /**
   * @param {string} cell id
   * @returns {boolean} whether it is known to run, from this page, and has not yet ended
   */
  isRunning(cell) {
    return this.#cells()?.[this.#indexOf(cell)]?.executionState === "running";
  }

  /** @param {string} cell id of the cell to bring into sight and focus */
  goTo(cell) {
    const node = this.#notebook()?.querySelector(`.jp-Cell[data-windowed-list-index="${this.#indexOf(cell)}"]`);
    if (!(node instanceof HTMLElement)) return;
    node.scrollIntoView({ block: "nearest" });
    // The cell that has the focus is the active one.
    if (node.tabIndex < 0) node.tabIndex = -1;
    node.focus();
  }

  /** @returns {any[] | null} */
  #cells() {
    return this.#manager?.context?.model?.sharedModel?.cells ?? null;
  }

  /** @param {string} cell */
  #indexOf(cell) {
    return this.#cells()?.findIndex((each) => each.getId() === cell) ?? -1;
  }

  /** @returns {Element | null} */
  #notebook() {
    const around = this.#element.closest(".jp-Notebook");
    if (around) return around;
    // Docked: of the notebooks in sight the one that has as many cells.
    const shown = [...document.querySelectorAll(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook")];
    const count = this.#cells()?.length;
    return shown.find((each) => each.querySelectorAll(".jp-Cell").length === count) ?? shown[0] ?? null;
  }

  #active() {
    const active = this.#notebook()?.querySelector(".jp-Cell.jp-mod-active");
    return Number(active?.getAttribute("data-windowed-list-index") ?? -1);
  }
}

/**
 * Copy text, also where the page came without TLS from another machine and has no clipboard interface.
 *
 * @param {string} text
 * @returns {Promise<boolean>}
 */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const before = document.activeElement;
    const box = document.createElement("textarea");
    box.value = text;
    box.style.position = "fixed";
    box.style.opacity = "0";
    document.body.append(box);
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    if (before instanceof HTMLElement) before.focus();
    return done;
  }
}
