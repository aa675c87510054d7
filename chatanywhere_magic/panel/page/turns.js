/** The conversation as the page knows it: messages in, what changed out. No page is needed for it. */

/** @import { Change, Changes, Fill, Head, Header, Snapshot } from "./protocol.js" */

/** How many times as long as its text HTML is. */
const MARKUP = 2.5;

/**
 * @typedef {object} Turn
 * @property {Head | null} head null until its content has come
 * @property {number} epoch grows whenever what was shown of the answer is void
 * @property {string[]} html
 * @property {string} tail
 * @property {string[]} reasoning
 * @property {{started: number, size: number} | null} sketch what is known of it before it is asked for
 */

/** Turns by index, those to show in order, and a sequence number that tells whether a message was lost. */
export class Turns {
  constructor() {
    /** @type {Map<number, Turn>} */
    this.all = new Map();
    /** @type {number[]} */
    this.order = [];
    /** @type {Header | null} */
    this.header = null;
    this.sequence = -1;
  }

  /** @param {Snapshot} snapshot */
  begin(snapshot) {
    const before = this.all;
    this.all = new Map();
    // Epochs go on counting, or a turn that is shown would be taken for the one of the same number before.
    for (const index of snapshot.order) this.all.set(index, emptyTurn((before.get(index)?.epoch ?? 0) + 1));
    for (const [index, started, size] of snapshot.sketches) {
      const turn = this.all.get(index);
      if (turn) turn.sketch = { started, size };
    }
    this.order = snapshot.order;
    this.sequence = snapshot.sequence;
    this.header = snapshot.header ?? this.header;
    this.#take(snapshot.changes);
  }

  /** @param {Fill} fill */
  fill(fill) {
    // What has come in the meantime is newer.
    this.#take(fill.changes.filter((change) => this.all.get(change.turn)?.head === null));
  }

  /**
   * @param {Changes} message
   * @returns {boolean} false if a message before it was lost: the page must ask for a snapshot
   */
  change(message) {
    if (message.sequence !== this.sequence + 1) return false;
    this.sequence = message.sequence;
    if (message.header) this.header = message.header;
    this.#take(message.changes);
    if (message.order) {
      this.order = message.order;
      for (const index of this.order) if (!this.all.has(index)) this.all.set(index, emptyTurn(1));
    }
    return true;
  }

  /**
   * @param {number} index
   * @returns {boolean} whether the turn must be asked for
   */
  isAway(index) {
    const turn = this.all.get(index);
    return Boolean(turn?.sketch && !turn.head);
  }

  /** @returns {string[]} the prompts, the last one first and each once */
  prompts() {
    const asked = this.order.map((index) => this.all.get(index)?.head?.prompt ?? "").filter(Boolean);
    return [...new Set(asked.reverse())];
  }

  /** @returns {boolean} */
  isEmpty() {
    return this.order.length === 0;
  }

  /** @param {Change[]} changes */
  #take(changes) {
    for (const change of changes) {
      let turn = this.all.get(change.turn);
      if (!turn) {
        turn = emptyTurn(1);
        this.all.set(change.turn, turn);
      }
      // Half of a turn is not taken for the whole: that comes with all older turns.
      if (!turn.head && !change.fresh) continue;
      if (change.fresh) {
        turn.epoch += 1;
        turn.html = [];
        turn.tail = "";
        turn.reasoning = [];
      }
      if (change.head) turn.head = change.head;
      if (change.html) turn.html.push(...change.html);
      if (change.tail !== undefined) turn.tail = turn.tail.slice(0, change.keep ?? 0) + change.tail;
      if (change.reasoning) turn.reasoning.push(change.reasoning);
    }
  }
}

/**
 * @param {number} epoch
 * @returns {Turn}
 */
function emptyTurn(epoch) {
  return { head: null, epoch, html: [], tail: "", reasoning: [], sketch: null };
}

/**
 * @param {Turn} turn
 * @returns {number} about how many characters it has, before it is shown
 */
export function sizeOf(turn) {
  return turn.head ? turn.html.reduce((size, piece) => size + piece.length, 0) / MARKUP : turn.sketch?.size ?? 0;
}
