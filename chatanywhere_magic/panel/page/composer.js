/** Where prompts are written: keys, completion, what was asked before, files, and a draft that outlives the page. */

import { element, iconButton } from "./dom.js";
import { size } from "./format.js";
import { commandIn, isNames, mayTravel, meaning, Recall, wordAt } from "./typing.js";
import { keepHistory } from "./undo.js";

/** @import { App } from "./app.js" */

/**
 * @typedef {{name: string, media_type: string, text?: string, data?: string, size: number}} Attached
 * @typedef {{label: string, detail: string, insert: string}} Candidate
 */

const MAX_FILE = 5_000_000;
const MAX_FILES = 10;
const PICTURE = /^image\/(png|jpeg|gif|webp)$/u;
const SAVE_AFTER = 300;
/** Less than a pause in typing, more than between two letters. */
const ASK_AFTER = 80;
/** Bytes that become characters at a time: a function takes only so many arguments. */
const AT_ONCE = 32_768;

export class Composer {
  /** @type {Attached[]} */
  #files = [];
  /** @type {Candidate[]} */
  #candidates = [];
  #chosen = 0;
  #asked = 0;
  #recall = new Recall();
  #saving = 0;
  #asking = 0;
  /** For the history of the box. */
  #note;

  /** @param {App} app */
  constructor(app) {
    this.app = app;
    const list = `chatanywhere-list-${Math.random().toString(36).slice(2)}`;
    this.box = element("textarea", {
      class: "chatanywhere-box",
      rows: 1,
      placeholder: app.say("panel.placeholder"),
      "aria-label": app.say("panel.placeholder"),
      "aria-autocomplete": "list",
      "aria-haspopup": "listbox",
      "aria-controls": list,
      spellcheck: "true",
      dir: "auto",
    });
    this.list = element("div", {
      class: "chatanywhere-list",
      role: "listbox",
      id: list,
      tabindex: 0, // it scrolls; Tab takes a suggestion, so that it does not come here
      "aria-label": app.say("panel.completions"),
      hidden: true,
      mousedown: (/** @type {MouseEvent} */ event) => event.preventDefault(),
    });
    this.chips = element("ul", { class: "chatanywhere-chips", "aria-label": app.say("panel.attached"), hidden: true });
    this.picker = element("input", { type: "file", multiple: true, hidden: true, tabindex: -1 });
    this.problem = element("div", { class: "chatanywhere-refusal", role: "alert", hidden: true });
    this.stop = iconButton("stop", app.say("panel.stop"), () => app.stop(), { class: "chatanywhere-stop", hidden: true });
    this.send = iconButton("send", app.say("panel.send"), () => this.#clickSend(), { class: "chatanywhere-send" });
    this.queue = element("span", { class: "chatanywhere-queue" });
    this.root = element(
      "div",
      { class: "chatanywhere-composer" },
      this.problem,
      this.list,
      this.chips,
      this.box,
      element(
        "div",
        { class: "chatanywhere-composer-row" },
        iconButton("attach", app.say("panel.attach"), () => this.picker.click()),
        element("span", { class: "chatanywhere-hint", text: app.say("panel.hint") }),
        this.queue,
        this.stop,
        this.send,
      ),
      this.picker,
    );
    this.box.addEventListener("keydown", (event) => this.#key(event));
    this.box.addEventListener("input", () => this.#typed());
    this.box.addEventListener("click", () => this.#complete());
    this.box.addEventListener("blur", () => this.#hide());
    this.box.addEventListener("paste", (event) => this.#paste(event));
    this.picker.addEventListener("change", () => {
      void this.attach(this.picker.files ?? []);
      this.picker.value = "";
    });
    this.box.value = this.#draft() ?? "";
    this.#note = keepHistory(this.box, () => {
      this.#recall.reset();
      this.#hide();
      this.#changed();
    });
    this.#showFiles();
    requestAnimationFrame(() => this.#fit());
  }

  /** End what would outlive the elements. */
  close() {
    window.clearTimeout(this.#asking);
    if (this.#saving) this.#save();
  }

  /**
   * @param {boolean} running
   * @param {number} queued
   */
  show(running, queued) {
    // A hidden button that has the focus would drop it on the floor.
    if (!running && document.activeElement === this.stop) this.box.focus();
    this.stop.hidden = !running;
    this.queue.textContent = queued ? this.app.say("panel.queued", { count: queued }) : "";
  }

  /**
   * Put a question into the box, if that does not overwrite another one.
   *
   * @param {string} text
   */
  offer(text) {
    if (this.box.value.trim()) return;
    this.#write(text);
  }

  /** @param {ArrayLike<File>} files */
  async attach(files) {
    const { app } = this;
    for (const file of Array.from(files)) {
      if (this.#files.length >= MAX_FILES) {
        this.refuse(app.say("panel.too_many_files", { count: MAX_FILES }));
        break;
      }
      if (file.size > MAX_FILE) {
        this.refuse(app.say("panel.file_too_large", { name: file.name, size: size(MAX_FILE) }));
        continue;
      }
      try {
        this.#files.push(await this.#read(file));
      } catch (problem) {
        this.refuse(String(problem));
      }
    }
    this.#showFiles();
  }

  /**
   * Read a file: a picture, a text as the web writes it, and everything else in the kernel.
   *
   * @param {File} file
   * @returns {Promise<Attached>}
   */
  async #read(file) {
    const { name } = file;
    const bytes = await file.arrayBuffer().catch(() => null);
    if (!bytes) throw this.app.say("panel.file_unreadable", { name }); // a folder, or a file that is gone
    if (PICTURE.test(file.type)) return { name, media_type: file.type, data: base64(bytes), size: file.size };
    try {
      const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
      if (!text.startsWith("%PDF-") && !text.includes("\0")) return { name, media_type: "text/plain", text, size: file.size };
    } catch {
      // in another encoding, or no text
    }
    const answer = await this.app.ask("read", { name, data: base64(bytes) });
    if (!answer.ok) throw answer.words || this.app.say("panel.file_unreadable", { name });
    return { ...answer.data, size: file.size };
  }

  /**
   * @param {string} words why something cannot be done; "" takes that back
   * @param {{label: string, click: (anchor: HTMLElement) => void} | null} [way] what can be done about it
   */
  refuse(words, way) {
    const button = way ? element("button", { type: "button", class: "chatanywhere-button", text: way.label }) : null;
    button?.addEventListener("click", () => way?.click(button));
    this.problem.replaceChildren(words, ...(button ? [button] : []));
    this.problem.hidden = !words;
  }

  // --- sending ------------------------------------------------------------------------------------------------------

  #clickSend() {
    this.box.focus(); // for the next question, or another try at this one
    void this.#submit();
  }

  async #submit(allowSecrets = false) {
    const { app } = this;
    const text = this.box.value.replace(/^\n+|\n+$/gu, "");
    if (!text.trim()) return;
    this.refuse("");
    const command = this.#files.length ? null : commandIn(text, app.commands.map((each) => each.name));
    const files = this.#files;
    this.#files = [];
    this.#showFiles();
    this.#recall.reset();
    this.#write("");
    this.#hide();
    const answer = command
      ? await app.ask("command", command)
      : await app.post(text, files.map(({ size: _, ...file }) => file), allowSecrets);
    if (answer.ok) {
      if (command && answer.data) app.tell(answer.data);
      return;
    }
    // It is not lost, and neither is what has been typed since.
    this.#files = [...files, ...this.#files];
    this.#showFiles();
    this.#write(this.box.value.trim() ? `${text}\n${this.box.value}` : text);
    const anyway = { label: app.say("panel.send_anyway"), click: () => void this.#submit(true) };
    this.refuse(answer.words ?? "", answer.may_send ? anyway : app.wayOut(answer.kind));
  }

  // --- keys ---------------------------------------------------------------------------------------------------------

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (!mayTravel(event)) event.stopPropagation();
    const what = meaning(event, {
      menu: !this.list.hidden,
      empty: this.box.value === "" || this.#recall.active,
      running: !this.stop.hidden,
    });
    if (what === "type") return;
    if (what === "newline" && !event.altKey) return; // the box does it
    event.preventDefault();
    if (what === "send") void this.#submit();
    else if (what === "newline") this.#insert("\n", this.box.selectionStart, this.box.selectionEnd);
    else if (what === "stop") this.app.stop();
    else if (what === "older" || what === "newer") this.#recallQuestion(what === "older" ? 1 : -1);
    else if (what === "accept") this.#accept(this.#chosen);
    else if (what === "dismiss") this.#hide();
    else this.#choose(this.#chosen + (what === "down" ? 1 : -1));
  }

  /** @param {1 | -1} step */
  #recallQuestion(step) {
    const text = this.#recall.move(this.app.turns.prompts(), step);
    if (text !== null) this.#write(text);
  }

  #typed() {
    this.#recall.reset();
    this.refuse("");
    this.#changed();
    window.clearTimeout(this.#asking);
    this.#asking = window.setTimeout(() => this.#complete(), ASK_AFTER);
  }

  /** @param {string} text */
  #write(text) {
    this.#insert(text, 0, this.box.value.length);
  }

  /**
   * @param {string} text
   * @param {number} start
   * @param {number} end
   */
  #insert(text, start, end) {
    this.box.setRangeText(text, start, end, "end");
    this.#note();
    this.#changed();
  }

  #changed() {
    this.#fit();
    window.clearTimeout(this.#saving);
    this.#saving = window.setTimeout(() => this.#save(), SAVE_AFTER);
  }

  /** Be as high as what is written, up to what the style sheet allows. */
  #fit() {
    this.box.style.height = "auto";
    this.box.style.height = `${this.box.scrollHeight + 2}px`;
  }

  // --- completion ---------------------------------------------------------------------------------------------------

  async #complete() {
    const word = wordAt(this.box.value, this.box.selectionEnd);
    this.#asked += 1;
    if (!word || this.box.selectionStart !== this.box.selectionEnd) {
      this.#hide();
      return;
    }
    const mine = this.#asked;
    const found = word.mark === "/" ? this.#commands(word.word) : await this.#names(word.word);
    if (mine === this.#asked && document.activeElement === this.box) this.#show(found);
  }

  /** @param {string} beginning */
  #commands(beginning) {
    return this.app.commands
      .filter((command) => command.name.startsWith(beginning))
      .map((command) => ({
        label: `/${command.name}`,
        detail: command.help,
        insert: `/${command.name}${command.argument ? " " : ""}`,
      }));
  }

  /**
   * @param {string} beginning
   * @returns {Promise<Candidate[]>}
   */
  async #names(beginning) {
    const answer = await this.app.ask("complete", { word: beginning }, 2000);
    return answer.ok
      ? answer.data.map((/** @type {{name: string, detail: string}} */ each) => ({
          label: `@${each.name}`,
          detail: each.detail,
          insert: `@${each.name} `,
        }))
      : [];
  }

  /** @param {Candidate[]} candidates */
  #show(candidates) {
    this.#candidates = candidates;
    this.list.replaceChildren(
      ...candidates.map((candidate, index) =>
        element(
          "div",
          {
            class: "chatanywhere-list-item",
            role: "option",
            id: `${this.list.id}-${index}`,
            // Before the box loses the focus, with which the list would go.
            mousedown: (/** @type {MouseEvent} */ event) => {
              event.preventDefault();
              this.#accept(index);
            },
          },
          element("span", { text: candidate.label }),
          element("span", { class: "chatanywhere-menu-detail", text: candidate.detail }),
        ),
      ),
    );
    this.list.hidden = candidates.length === 0;
    this.#choose(0);
  }

  /** @param {number} index */
  #choose(index) {
    const count = this.#candidates.length;
    this.#chosen = count ? (index + count) % count : 0;
    for (const [at, item] of [...this.list.children].entries()) {
      item.setAttribute("aria-selected", String(at === this.#chosen));
      if (at === this.#chosen) item.scrollIntoView({ block: "nearest" });
    }
    if (count) this.box.setAttribute("aria-activedescendant", `${this.list.id}-${this.#chosen}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  /** @param {number} index */
  #accept(index) {
    const word = wordAt(this.box.value, this.box.selectionEnd);
    const candidate = this.#candidates[index];
    this.#hide();
    if (!word || !candidate) return;
    this.#insert(candidate.insert, word.start, word.end);
  }

  #hide() {
    this.#asked += 1;
    this.#show([]);
  }

  // --- files --------------------------------------------------------------------------------------------------------

  /** @param {ClipboardEvent} event */
  #paste(event) {
    event.stopPropagation(); // the notebook would paste cells
    const files = event.clipboardData?.files;
    const text = event.clipboardData?.getData("text/plain") ?? "";
    // A spreadsheet copies its cells as text and as a picture: the text is meant.
    if (!files?.length || !isNames(text, Array.from(files, (file) => file.name))) return;
    event.preventDefault();
    void this.attach(files);
  }

  #showFiles() {
    const { app } = this;
    this.chips.replaceChildren(
      ...this.#files.map((file, index) =>
        element(
          "li",
          { class: "chatanywhere-chip", "data-kind": file.data ? "image" : "text" },
          file.data ? element("img", { src: `data:${file.media_type};base64,${file.data}`, alt: "" }) : null,
          element("span", { text: file.name }),
          element("span", { class: "chatanywhere-chip-size", text: size(file.size) }),
          iconButton("close", app.say("panel.remove", { name: file.name }), () => {
            this.#files = this.#files.filter((_, at) => at !== index);
            this.#showFiles();
            this.box.focus();
          }),
        ),
      ),
    );
    this.chips.hidden = this.#files.length === 0;
  }

  // --- the draft ----------------------------------------------------------------------------------------------------

  get #draftKey() {
    return `chatanywhere:draft:${this.app.notebook.path}`;
  }

  /** @returns {string | null} */
  #draft() {
    try {
      return localStorage.getItem(this.#draftKey);
    } catch {
      return null; // the browser keeps nothing for this page
    }
  }

  #save() {
    this.#saving = 0;
    try {
      if (this.box.value) localStorage.setItem(this.#draftKey, this.box.value);
      else localStorage.removeItem(this.#draftKey);
    } catch {
      // the browser keeps nothing for this page, or has no room left
    }
  }
}

/**
 * @param {ArrayBuffer} buffer
 * @returns {string}
 */
function base64(buffer) {
  const bytes = new Uint8Array(buffer);
  let binary = "";
  for (let at = 0; at < bytes.length; at += AT_ONCE) binary += String.fromCharCode(...bytes.subarray(at, at + AT_ONCE));
  return btoa(binary);
}
