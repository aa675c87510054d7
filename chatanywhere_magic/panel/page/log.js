/** The log: all turns, of which those near the window are built, and a window that does not move under its reader. */

import { element, icon } from "./dom.js";
import { day } from "./format.js";
import { TurnView } from "./turn.js";
import { sizeOf } from "./turns.js";

/** @import { App } from "./app.js" */
/** @import { Turn } from "./turns.js" */

/** So near to the end, in pixels, the reader counts as being there. */
const NEAR = 32;
/** How far outside the window turns are built, so that none is seen empty. */
const MARGIN = "1200px";
/** How many turns to ask for at a time, so that those in view come first. */
const FEW = 8;
/** When they are asked for again, in milliseconds: a message may be lost. */
const FETCH_AGAIN = 5000;
/** What a character takes of the page, in square pixels, with its share of what stands around it. */
const CHARACTER = 150;
/** The height of a turn without any. */
const BARE = 90;
/** Of a frame's 16 ms, how long the log may take; what is left waits for the next frame. */
const BUDGET = 8;

export class Log {
  /** @type {Map<number, TurnView>} */
  #views = new Map();
  /** @type {Set<number>} */
  #waiting = new Set();
  /** @type {Set<number>} */
  #near = new Set();
  /** @type {number[]} */
  #fetched = [];
  #fetching = 0;
  #scheduled = false;
  #stuck = true;
  #unseen = false;
  #top = 0;
  /** @type {TurnView | null} */
  #chosen = null;

  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.inner = element("div", { class: "chatanywhere-turns" });
    this.root = element(
      "div",
      { class: "chatanywhere-log", role: "log", "aria-live": "off", "aria-label": app.say("panel.log"), tabindex: 0 },
      this.inner,
    );
    this.jump = element(
      "button",
      { type: "button", class: "chatanywhere-jump", "aria-label": app.say("panel.latest"), hidden: true, click: () => this.toEnd() },
      icon("down"),
      element("span", { text: app.say("panel.latest") }),
    );
    this.root.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.root.addEventListener("keydown", (event) => this.#move(event));
    this.root.addEventListener("focusin", (event) => {
      const turn = /** @type {HTMLElement} */ (event.target).closest(".chatanywhere-turn");
      const view = turn instanceof HTMLElement && this.#views.get(Number(turn.dataset.turn));
      if (view) this.#choose(view);
    });
    this.sizes = new ResizeObserver(() => this.#follow());
    this.sizes.observe(this.inner);
    this.sizes.observe(this.root);
    this.nearness = new IntersectionObserver((entries) => this.#approach(entries), { root: this.root, rootMargin: MARGIN });
    this.selected = () => this.#schedule();
    document.addEventListener("selectionchange", this.selected);
  }

  /** End everything that would outlive the elements. */
  close() {
    this.sizes.disconnect();
    this.nearness.disconnect();
    window.clearTimeout(this.#fetching);
    document.removeEventListener("selectionchange", this.selected);
  }

  /** Show the turns of the conversation, in its order. */
  arrange() {
    const { turns, language } = this.app;
    const shown = new Set(turns.order);
    for (const [index, view] of this.#views) {
      // What is to come again may be another conversation's.
      if (!shown.has(index) || (view.isShown && turns.isAway(index))) {
        this.nearness.unobserve(view.root);
        view.root.remove();
        this.#views.delete(index);
        this.#near.delete(index);
      }
    }
    // Moved only where they do not stand already: a moved element loses the reader's selection.
    /** @type {Element | null} */
    let at = this.inner.firstElementChild;
    let date = "";
    const area = CHARACTER / Math.max(240, this.inner.clientWidth);
    for (const index of turns.order) {
      let view = this.#views.get(index);
      if (!view) {
        view = new TurnView(this.app, index);
        this.#views.set(index, view);
        this.nearness.observe(view.root);
      }
      const turn = turns.all.get(index);
      if (turn && !view.isShown) view.reserve(BARE + area * sizeOf(turn), turns.isAway(index));
      const started = turn?.head?.started ?? turn?.sketch?.started;
      const today = started ? day(started, language) : date;
      if (today !== date) {
        date = today;
        if (at instanceof HTMLElement && at.classList.contains("chatanywhere-day")) {
          at.textContent = today;
          at = at.nextElementSibling;
        } else {
          this.inner.insertBefore(element("div", { class: "chatanywhere-day", role: "separator", text: today }), at);
        }
      }
      while (at instanceof HTMLElement && at.classList.contains("chatanywhere-day")) {
        const old = at;
        at = at.nextElementSibling;
        old.remove();
      }
      if (at === view.root) at = at.nextElementSibling;
      else this.inner.insertBefore(view.root, at);
    }
    while (at) {
      const old = at;
      at = at.nextElementSibling;
      old.remove();
    }
    this.#rove();
    if (!this.#fetching) this.#fetch();
  }

  /** @param {Iterable<number>} indices of turns that have grown */
  touch(indices) {
    for (const index of indices) this.#waiting.add(index);
    this.#schedule();
    if (this.#fetching && !this.#fetched.some((index) => this.app.turns.isAway(index))) this.#fetch();
  }

  /** Ask for turns that have not come, where the reader is now. */
  #fetch() {
    window.clearTimeout(this.#fetching);
    this.#fetched = [...this.#near].filter((index) => this.app.turns.isAway(index)).slice(0, FEW);
    this.#fetching = this.#fetched.length && window.setTimeout(() => this.#fetch(), FETCH_AGAIN);
    if (this.#fetching) this.app.fetch(this.#fetched);
  }

  /** Go to the end and stay there. */
  toEnd() {
    this.#stuck = true;
    this.#unseen = false;
    this.root.scrollTop = this.root.scrollHeight;
    this.#showJump();
  }

  #schedule() {
    if (this.#scheduled || !this.#waiting.size) return;
    this.#scheduled = true;
    const paint = () => {
      this.#scheduled = false;
      this.#paint();
    };
    // There are no frames in a page that is out of sight, but there is a reader who comes back.
    if (document.hidden) setTimeout(paint, 250);
    else requestAnimationFrame(paint);
  }

  #paint() {
    const end = performance.now() + BUDGET;
    let held = false;
    for (const index of [...this.#waiting].reverse()) {
      const view = this.#views.get(index);
      const turn = this.app.turns.all.get(index);
      if (!view || !turn) {
        this.#waiting.delete(index);
      } else if (view.isHeld) {
        held = true; // until the reader lets the selection go
      } else if (turn.head && (this.#near.has(index) || view.isShown || this.#isLast(index))) {
        if (this.#build(view, turn, end)) this.#waiting.delete(index);
        this.#unseen ||= !this.#stuck && this.#isLast(index);
        if (performance.now() > end) break;
      } else {
        this.#waiting.delete(index); // it is built when the reader comes near
      }
    }
    this.#follow();
    this.#showJump();
    if (!held) this.#schedule();
  }

  /**
   * Show more of a turn. What a reader who scrolls up sees below it stays where it is: the browser sees to that as long
   * as the turn itself is out of sight, but of one that comes into sight it holds the upper edge, not the lower one.
   *
   * @param {TurnView} view
   * @param {Turn} turn
   * @param {number} end
   * @returns {boolean} whether it is shown whole
   */
  #build(view, turn, end) {
    if (!view.isReserved || this.#stuck) return view.update(turn, end);
    const seen = this.root.getBoundingClientRect();
    const before = view.root.getBoundingClientRect();
    const isWhole = view.update(turn, end);
    if (before.top < seen.top && before.bottom > seen.top && before.bottom < seen.bottom) {
      this.root.scrollTop += view.root.getBoundingClientRect().bottom - before.bottom;
    }
    return isWhole;
  }

  /** @param {number} index */
  #isLast(index) {
    return this.app.turns.order.at(-1) === index;
  }

  /** @param {IntersectionObserverEntry[]} entries */
  #approach(entries) {
    for (const entry of entries) {
      const index = Number(/** @type {HTMLElement} */ (entry.target).dataset.turn);
      if (entry.isIntersecting) {
        this.#near.add(index);
        if (!this.#views.get(index)?.isShown) this.#waiting.add(index);
      } else {
        this.#near.delete(index);
      }
    }
    this.#schedule();
    if (!this.#fetching) this.#fetch();
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.root;
    // Only going up is leaving: the end itself moves away whenever something is added.
    if (scrollHeight - scrollTop - clientHeight < NEAR) this.#stuck = true;
    else if (scrollTop < this.#top) this.#stuck = false;
    this.#top = scrollTop;
    if (this.#stuck) this.#unseen = false;
    this.#showJump();
  }

  #follow() {
    if (this.#stuck) this.root.scrollTop = this.root.scrollHeight;
  }

  #showJump() {
    this.jump.hidden = this.#stuck;
    this.jump.classList.toggle("chatanywhere-unseen", this.#unseen);
  }

  /** Up, Down, Home and End go from turn to turn; Tab then goes into the one that has the focus. @param {KeyboardEvent} event */
  #move(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (target !== this.root && !target.classList.contains("chatanywhere-turn")) return;
    const { order } = this.app.turns;
    const at = target === this.root ? order.length : order.indexOf(Number(target.dataset.turn));
    const moves = /** @type {Record<string, number>} */ ({ ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: order.length - 1 });
    const next = moves[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const view = this.#views.get(order[Math.max(0, Math.min(next, order.length - 1))]);
    if (!view) return;
    this.#choose(view);
    view.root.focus();
  }

  /** Let Tab reach one turn: the one that has the focus, or else the last one. */
  #rove() {
    if (this.#chosen?.root.contains(document.activeElement)) return;
    const last = this.#views.get(this.app.turns.order.at(-1) ?? -1);
    if (last) this.#choose(last);
  }

  /** @param {TurnView} view */
  #choose(view) {
    if (view === this.#chosen) return;
    this.#chosen?.setReachable(false);
    this.#chosen = view;
    view.setReachable(true);
  }
}
