/** One turn on the page: its prompt, its response as it grows, and what can be done with it. */

import { approvalCard } from "./card.js";
import { element, icon, iconButton, openMenu } from "./dom.js";
import { clock, countdown, size } from "./format.js";
import { remedyFor, secondsToWait } from "./remedies.js";
import { keepHistory } from "./undo.js";

/** @import { App } from "./app.js" */
/** @import { Head, Problem } from "./protocol.js" */
/** @import { Turn } from "./turns.js" */

/** Keeps MathJax to the formulas, which bear a class of their own. It looks at what it is given, not at what is around. */
const NO_FORMULAS = "mathjax_ignore tex2jax_ignore";
/** The classes under which Jupyter shows rendered text and code. */
const TEXT = "chatanywhere-text jp-RenderedHTMLCommon jp-RenderedMarkdown";
const FORMULAS = ".mathjax_process";

export class TurnView {
  /** @type {Turn | null} */
  #turn = null;
  /** @type {Head | null} */
  #head = null;
  #epoch = -1;
  #pieces = 0;
  #reasoned = 0;
  #tail = "";
  #editing = false;
  #reachable = false;
  #countdown = 0;
  #calls = "";
  /** Those that are shown, by the ids of their calls: what is typed into one stays. @type {Map<string, HTMLElement>} */
  #cards = new Map();

  /**
   * @param {App} app
   * @param {number} index of the turn in the conversation
   */
  constructor(app, index) {
    this.app = app;
    this.index = index;
    this.prompt = element("div", { class: "chatanywhere-question" });
    this.thoughts = element("div", { class: "chatanywhere-thoughts", dir: "auto" });
    this.reasoning = element(
      "details",
      { class: "chatanywhere-reasoning", hidden: true },
      element("summary", { text: app.say("panel.reasoning") }),
      this.thoughts,
    );
    this.tail = element("div", { class: `chatanywhere-tail ${NO_FORMULAS}` });
    this.body = element("div", { class: TEXT, dir: "auto" }, this.tail);
    this.calls = element("div", { class: "chatanywhere-calls" });
    this.cards = element("div", { class: "chatanywhere-cards" });
    this.below = element("div", { class: "chatanywhere-below" });
    this.actions = element("div", { class: "chatanywhere-actions", role: "toolbar", "aria-label": app.say("panel.actions") });
    this.root = element(
      "article",
      { class: "chatanywhere-turn", tabindex: -1, "data-turn": index },
      this.prompt,
      element("div", { class: "chatanywhere-answer" }, this.reasoning, this.body, this.calls, this.cards, this.below, this.actions),
    );
  }

  /** @returns {boolean} whether it has been built */
  get isShown() {
    return this.#turn !== null;
  }

  /** @returns {boolean} whether a place is kept for it, of which all has not been shown yet */
  get isReserved() {
    return this.root.style.minHeight !== "";
  }

  /** @returns {boolean} whether the reader has selected something of the part that is replaced as it grows */
  get isHeld() {
    const selection = document.getSelection();
    return Boolean(selection && !selection.isCollapsed && selection.containsNode(this.tail, true));
  }

  /**
   * Keep a place for what is not shown yet.
   *
   * @param {number} height in pixels
   * @param {boolean} isAway whether it has not even come
   */
  reserve(height, isAway) {
    this.root.classList.toggle("chatanywhere-sketch", isAway);
    this.root.style.minHeight = `${Math.round(height)}px`;
  }

  /**
   * Show `turn` as it stands; what is shown already is not touched.
   *
   * @param {Turn} turn
   * @param {number} end when to leave off, by the page's clock; at least one piece is added
   * @returns {boolean} whether everything is shown now
   */
  update(turn, end) {
    this.#turn = turn;
    this.root.classList.remove("chatanywhere-sketch");
    if (turn.epoch !== this.#epoch) {
      this.#epoch = turn.epoch;
      this.#pieces = 0;
      this.#reasoned = 0;
      this.#tail = "";
      this.tail.replaceChildren();
      this.body.replaceChildren(this.tail);
      this.thoughts.replaceChildren();
    }
    const isWhole = this.#grow(turn, end);
    if (turn.head && turn.head !== this.#head) {
      this.#head = turn.head;
      if (!this.#editing) this.#showPrompt(turn.head);
      this.#showCalls(turn.head);
      this.#showBelow(turn.head);
      this.#showActions(turn.head);
      this.root.dataset.status = turn.head.status;
      this.root.setAttribute("aria-label", this.app.say("panel.turn", { number: this.index + 1 }));
      this.root.setAttribute("aria-busy", String(turn.head.status === "streaming"));
      for (const part of [this.prompt, this.reasoning, this.calls, this.cards, this.below, this.actions]) this.#reach(part);
    }
    if (isWhole && this.isReserved) this.root.style.minHeight = "";
    return isWhole;
  }

  /**
   * Let Tab go through this turn, or pass it by: one turn at a time, or a thousand of them would lie between the
   * header and the composer.
   *
   * @param {boolean} reachable
   */
  setReachable(reachable) {
    if (reachable === this.#reachable) return;
    this.#reachable = reachable;
    this.root.tabIndex = reachable ? 0 : -1;
    this.#reach(this.root);
  }

  /** @param {HTMLElement} part that is new: in a response that grows, looking through all of it would take ever longer */
  #reach(part) {
    const tabIndex = this.#reachable ? 0 : -1;
    for (const each of part.querySelectorAll("button, a, summary")) /** @type {HTMLElement} */ (each).tabIndex = tabIndex;
  }

  /**
   * @param {Turn} turn
   * @param {number} end
   * @returns {boolean} whether all of the response is shown
   */
  #grow(turn, end) {
    this.reasoning.hidden = turn.reasoning.length === 0;
    this.body.hidden = turn.html.length === 0 && turn.tail === "";
    const before = this.#pieces;
    for (; this.#pieces < turn.html.length; this.#pieces += 1) {
      if (this.#pieces > before && performance.now() > end) return false;
      const piece = element("div", { class: `chatanywhere-piece ${NO_FORMULAS}` });
      piece.innerHTML = turn.html[this.#pieces]; // made by the kernel's renderer, from which nothing can run
      this.#dressCode(piece);
      this.#reach(piece);
      this.body.insertBefore(piece, this.tail);
      if (piece.querySelector(FORMULAS)) this.app.notebook.typeset(piece);
    }
    if (turn.tail !== this.#tail) {
      this.#tail = turn.tail;
      this.tail.innerHTML = turn.tail; // the same renderer's
      this.#reach(this.tail);
      if (this.tail.querySelector(FORMULAS)) this.app.notebook.typeset(this.tail);
    }
    if (this.#reasoned < turn.reasoning.length) {
      this.thoughts.append(turn.reasoning.slice(this.#reasoned).join(""));
      this.#reasoned = turn.reasoning.length;
    }
    return true;
  }

  /** @param {HTMLElement} piece */
  #dressCode(piece) {
    for (const block of piece.querySelectorAll(".highlight")) {
      const code = () => block.querySelector("pre")?.textContent ?? "";
      block.append(
        element(
          "div",
          { class: "chatanywhere-code-actions" },
          iconButton("copy", this.app.say("panel.copy_code"), () => void this.app.copy(code())),
          iconButton("down", this.app.say("panel.insert_code"), () => void this.app.insertCode(code(), this.#head?.cell ?? "")),
        ),
      );
    }
  }

  /** @param {Head} head */
  #showPrompt(head) {
    const { app } = this;
    const isCell = head.source === "cell";
    const asker = element("span", { class: "chatanywhere-asker", text: app.say(isCell ? "panel.from_cell" : "panel.you") });
    const place =
      isCell && head.cell && app.notebook.has(head.cell)
        ? element(
            "button",
            {
              type: "button",
              class: "chatanywhere-link",
              title: app.say("panel.go_to_cell"),
              click: () => app.notebook.goTo(head.cell),
            },
            asker,
          )
        : asker;
    const meta = element(
      "div",
      { class: "chatanywhere-meta" },
      head.pinned ? element("span", { class: "chatanywhere-pin", title: app.say("panel.pinned") }, icon("pin")) : null,
      place,
      head.started
        ? element("time", {
            datetime: new Date(head.started * 1000).toISOString(),
            text: clock(head.started, app.language),
          })
        : null,
    );
    const chips = head.chips.map((chip) =>
      element(
        "li",
        { class: "chatanywhere-chip", "data-kind": chip.kind },
        element("span", { text: chip.name }),
        element("span", { class: "chatanywhere-chip-size", text: size(chip.size) }),
      ),
    );
    this.prompt.replaceChildren(
      meta,
      element("div", { class: "chatanywhere-words", dir: "auto", text: head.prompt }),
      ...(chips.length
        ? [element("ul", { class: "chatanywhere-chips", "aria-label": app.say("panel.sent_with") }, ...chips)]
        : []),
    );
  }

  /** @param {Head} head */
  #showCalls(head) {
    const { app } = this;
    if (head.calls !== this.#calls) {
      this.#calls = head.calls;
      this.calls.innerHTML = head.calls; // the same renderer's
    }
    for (const [id, card] of this.#cards) {
      if (head.approvals.some((each) => each.id === id)) continue;
      card.remove();
      this.#cards.delete(id);
    }
    for (const approval of head.approvals) {
      if (this.#cards.has(approval.id)) continue;
      const card = approvalCard(
        approval,
        (key) => app.say(key),
        (fields) => void app.act("approve", fields),
      );
      this.#cards.set(approval.id, card);
      this.cards.append(card);
    }
  }

  /** @param {Head} head */
  #showBelow(head) {
    const { app } = this;
    window.clearTimeout(this.#countdown);
    const problem = head.problem
      ? element(
          "div",
          { class: "chatanywhere-problem" },
          element("div", { class: "chatanywhere-words", dir: "auto", text: head.problem.words }),
          element("div", { class: "chatanywhere-remedies" }, this.#remedyFor(head.problem)),
        )
      : null;
    const words = head.status === "queued" || head.status === "streaming" ? head.waiting : head.footer;
    this.below.replaceChildren(
      ...(problem ? [problem] : []),
      ...(words ? [element("div", { class: "chatanywhere-state", dir: "auto", text: words })] : []),
    );
    if (head.proceeds) {
      this.below.append(this.#remedy("panel.proceed", () => void app.act("proceed", { turn: this.index })));
    }
    if (head.status === "queued") {
      this.below.append(this.#remedy("panel.cancel", () => void app.cancel(this.index, head.prompt)));
    }
  }

  /** @param {Problem} problem */
  #remedyFor(problem) {
    const remedy = remedyFor(problem.kind);
    if (remedy === "log_in") return this.#remedy("panel.log_in", () => this.app.logIn());
    if (remedy === "change_model") return this.#remedy("panel.change_model", (anchor) => this.#retryWith(anchor));
    const button = this.#remedy("panel.try_again", () => void this.app.act("retry", { turn: this.index }));
    this.#countDown(button, problem);
    return button;
  }

  /**
   * @param {HTMLButtonElement} button
   * @param {Problem} problem
   */
  #countDown(button, problem) {
    const seconds = secondsToWait(problem.kind, problem.retry_at, Date.now() / 1000);
    button.disabled = seconds > 0;
    button.textContent = seconds
      ? this.app.say("panel.retry_in", { time: countdown(seconds) })
      : this.app.say("panel.try_again");
    if (seconds) this.#countdown = window.setTimeout(() => this.#countDown(button, problem), 1000);
  }

  /**
   * @param {string} key
   * @param {(anchor: HTMLElement) => void} click
   */
  #remedy(key, click) {
    const button = element("button", { type: "button", class: "chatanywhere-button", text: this.app.say(key) });
    button.addEventListener("click", () => click(button));
    return button;
  }

  /** @param {Head} head */
  #showActions(head) {
    const { app, index } = this;
    const over = head.status !== "queued" && head.status !== "streaming";
    const buttons = [];
    if (head.versions > 1) {
      const go = (/** @type {number} */ version) => void app.act("select", { turn: index, version: version - 1 });
      buttons.push(
        element(
          "span",
          { class: "chatanywhere-versions", role: "group", "aria-label": app.say("panel.versions") },
          iconButton("previous", app.say("panel.version_before"), () => go(head.version - 1), {
            disabled: !over || head.version === 1,
          }),
          element("span", { text: `${head.version}/${head.versions}` }),
          iconButton("next", app.say("panel.version_after"), () => go(head.version + 1), {
            disabled: !over || head.version === head.versions,
          }),
        ),
      );
    }
    if (over) {
      const more = iconButton("more", app.say("panel.more"), () => this.#openMore(more, head), { "aria-haspopup": "menu" });
      buttons.push(
        iconButton("copy", app.say("panel.copy"), () => void this.#copyResponse()),
        iconButton("retry", app.say("panel.retry"), () => void app.act("retry", { turn: index })),
        iconButton("edit", app.say("panel.edit"), () => this.#edit(head)),
        iconButton("pin", app.say(head.pinned ? "panel.unpin" : "panel.pin"), () => this.#pin(head), {
          "aria-pressed": String(head.pinned),
        }),
        more,
      );
    }
    // Replaced buttons would take the focus with them: it goes to their successor, or to the turn.
    const focused = this.actions.querySelector("button:focus")?.getAttribute("aria-label");
    this.actions.replaceChildren(...buttons);
    if (!focused) return;
    const successor = [...this.actions.querySelectorAll("button")].find((each) => each.ariaLabel === focused && !each.disabled);
    (successor ?? this.root).focus();
  }

  /** @param {Head} head */
  #pin(head) {
    void this.app.act("pin", { turn: this.index, pinned: !head.pinned });
  }

  async #copyResponse() {
    // The words as the model wrote them are the kernel's; what is shown is better than nothing where it is busy.
    const source = await this.app.ask("source", { turn: this.index }, 1000);
    // biome-ignore lint/performance/useDomNodeTextContent: lines and paragraphs must stay distinct
    await this.app.copy(source.ok ? source.data : this.body.innerText);
  }

  /**
   * @param {HTMLElement} anchor
   * @param {Head} head
   */
  #openMore(anchor, head) {
    const { app, index } = this;
    const code = () => [...this.body.querySelectorAll(".highlight pre")].map((each) => each.textContent).join("\n");
    const items = [
      { label: app.say("panel.retry_with"), choose: () => this.#retryWith(anchor) },
      { label: app.say("panel.fork"), choose: () => void app.act("fork", { turn: index }) },
      { label: app.say("panel.delete"), choose: () => void app.remove(index) },
    ];
    if (this.body.querySelector(".highlight")) {
      items.unshift(
        { label: app.say("panel.copy_code"), choose: () => void app.copy(code()) },
        { label: app.say("panel.insert_code"), choose: () => void app.insertCode(code(), head.cell) },
        { label: app.say("panel.replace_code"), choose: () => void app.replaceCode(code()) },
      );
    }
    openMenu(anchor, app.say("panel.more"), items);
  }

  /** @param {HTMLElement} anchor */
  #retryWith(anchor) {
    this.app.chooseModel(anchor, (provider, model) => {
      void this.app.act("retry", { turn: this.index, provider, model });
    });
  }

  /** @param {Head} head */
  #edit(head) {
    const { app } = this;
    this.#editing = true;
    const box = element("textarea", { class: "chatanywhere-field", "aria-label": app.say("panel.edit"), rows: 3 });
    box.value = head.prompt;
    keepHistory(box);
    const end = () => {
      this.#editing = false;
      this.#showPrompt(this.#head ?? head);
      /** @type {HTMLElement | null} */ (this.actions.querySelector("button"))?.focus();
    };
    const send = async () => {
      const answer = await app.act("revise", { turn: this.index, text: box.value });
      if (answer.ok) end();
    };
    box.addEventListener("keydown", (event) => {
      if (event.isComposing || event.keyCode === 229) return;
      if (event.key === "Escape") {
        event.preventDefault();
        event.stopPropagation();
        end();
      } else if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
        event.preventDefault();
        void send();
      }
    });
    this.prompt.replaceChildren(
      box,
      element(
        "div",
        { class: "chatanywhere-remedies" },
        this.#remedy("panel.send", () => void send()),
        this.#remedy("panel.cancel", end),
      ),
    );
    box.focus();
  }
}
