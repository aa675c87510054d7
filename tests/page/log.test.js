import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Log } from "../../chatanywhere_magic/panel/page/log.js";
import { head, near, open, paint, press, stand } from "./stage.js";

let body = null;

beforeEach(() => {
  body = open();
});

const DAY = 86_400;
const begin = (order, known = order, fields = () => ({})) => ({
  sequence: 0,
  order,
  changes: known.map((turn) => ({ turn, fresh: true, head: head({ prompt: `q${turn}`, ...fields(turn) }), html: [`<p>a${turn}</p>`] })),
  sketches: order.filter((turn) => !known.includes(turn)).map((turn) => [turn, 0, 100]),
  header: null,
});

const reading = (snapshot, height = 1000) => {
  const app = stand();
  const log = new Log(app);
  body.replaceChildren(log.root);
  const place = { scrollHeight: height, clientHeight: 100, scrollTop: 0 };
  for (const name of Object.keys(place)) {
    Object.defineProperty(log.root, name, { get: () => place[name], set: (value) => { place[name] = value; } });
  }
  const tell = (message) => {
    app.turns.begin(message);
    log.arrange();
    log.touch(app.turns.order);
    paint();
  };
  const change = (message) => {
    app.turns.change({ sequence: app.turns.sequence + 1, changes: [], ...message });
    if (message.order) log.arrange();
    log.touch((message.changes ?? []).map((each) => each.turn));
    paint();
  };
  const scroll = (top) => {
    place.scrollTop = top;
    log.root.dispatchEvent(new Event("scroll"));
  };
  tell(snapshot);
  return { app, log, tell, change, scroll, place };
};

const turns = (log) => [...log.inner.querySelectorAll(".chatanywhere-turn")];
/** Said by hand: to print elements that differ takes minutes. */
const same = (some, others) => some.length === others.length && some.every((each, at) => each === others[at]);
const numbers = (log) => turns(log).map((each) => Number(each.dataset.turn));
const built = (log) => turns(log).filter((each) => each.querySelector(".chatanywhere-piece")).map((each) => Number(each.dataset.turn));
const days = (log) => [...log.inner.children].map((each) => (each.dataset.turn ? Number(each.dataset.turn) : "day"));

test("only the last turn and those near the window are built", () => {
  const { log } = reading(begin([0, 1, 2, 3]));
  assert.deepEqual(numbers(log), [0, 1, 2, 3]);
  assert.deepEqual(built(log), [3]);
  near(turns(log).slice(1, 2));
  assert.deepEqual(built(log), [1, 3]);
  assert.notEqual(turns(log)[0].style.minHeight, ""); // a place is kept for the others
});

test("turns that have not come are asked for where the reader is, a few at a time", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const order = Array.from({ length: 20 }, (_, at) => at);
  const { app, log } = reading(begin(order, [19]));
  assert.deepEqual(app.calls, []);
  near(turns(log).slice(0, 12));
  assert.deepEqual(app.calls, [["fetch", [0, 1, 2, 3, 4, 5, 6, 7]]]);
  context.mock.timers.tick(5000); // the message was lost
  assert.deepEqual(app.calls.at(-1), ["fetch", [0, 1, 2, 3, 4, 5, 6, 7]]);
  near(turns(log).slice(0, 6), false);
  app.turns.fill({ changes: begin(order.slice(0, 8)).changes });
  log.touch([0, 1, 2, 3, 4, 5, 6, 7]);
  paint();
  assert.deepEqual(app.calls.at(-1), ["fetch", [8, 9, 10, 11]]);
  assert.deepEqual(built(log), [6, 7, 19]);
  log.close();
  const asked = app.calls.length;
  context.mock.timers.tick(10_000);
  assert.equal(app.calls.length, asked);
});

test("a day stands above its first turn", () => {
  const started = { 0: DAY, 1: DAY + 60, 2: 5 * DAY, 3: 9 * DAY };
  const { log, change } = reading(begin([0, 1, 2, 3], undefined, (turn) => ({ started: started[turn] })));
  assert.deepEqual(days(log), ["day", 0, 1, "day", 2, "day", 3]);
  change({ order: [1, 3] });
  assert.deepEqual(days(log), ["day", 1, "day", 3]);
  change({ order: [] });
  assert.deepEqual(days(log), []);
});

test("what goes or comes leaves the other turns where they stand", () => {
  const { log, change } = reading(begin([0, 1, 2]));
  const [first, , third] = turns(log);
  change({ order: [0, 2] });
  assert.ok(same(turns(log), [first, third]));
  change({ order: [0, 2, 4], changes: [{ turn: 4, fresh: true, head: head(), html: ["<p>a4</p>"] }] });
  assert.ok(same(turns(log).slice(0, 2), [first, third]));
  assert.deepEqual(numbers(log), [0, 2, 4]);
});

test("another conversation's turns are not taken for those of the same number", () => {
  const { log, tell } = reading(begin([0, 1]));
  const before = turns(log);
  near(before);
  tell(begin([0, 1], [1]));
  assert.ok(turns(log)[0] !== before[0]);
  assert.deepEqual(built(log), [1]);
});

test("who is at the end stays there, and who has left it is told of what is new", () => {
  const { log, change, scroll, place } = reading(begin([0, 1]));
  place.scrollHeight = 2000;
  change({ changes: [{ turn: 1, html: ["<p>more</p>"] }] });
  assert.equal(place.scrollTop, 2000);
  assert.ok(log.jump.hidden);
  scroll(1900);
  scroll(500);
  assert.ok(!log.jump.hidden);
  assert.ok(!log.jump.classList.contains("chatanywhere-unseen"));
  place.scrollHeight = 3000;
  change({ changes: [{ turn: 1, html: ["<p>more</p>"] }] });
  assert.equal(place.scrollTop, 500);
  assert.ok(log.jump.classList.contains("chatanywhere-unseen"));
  log.jump.click();
  assert.deepEqual([place.scrollTop, log.jump.hidden], [3000, true]);
  change({ changes: [{ turn: 1, html: ["<p>more</p>"] }] });
  assert.ok(!log.jump.classList.contains("chatanywhere-unseen"));
});

test("what the reader has selected is not replaced until it is let go", () => {
  const { log, change } = reading(begin([0], [0], () => ({ status: "streaming" })));
  let held = true;
  document.getSelection = () => ({ isCollapsed: !held, containsNode: () => held });
  change({ changes: [{ turn: 0, tail: "<p>open end</p>" }] });
  assert.ok(!log.inner.textContent.includes("open end"));
  held = false;
  document.dispatchEvent(new Event("selectionchange"));
  paint();
  assert.ok(log.inner.textContent.includes("open end"));
});

test("Up, Down, Home and End go from turn to turn, and Tab into the one that has the focus", () => {
  const { log } = reading(begin([0, 1, 2]));
  near(turns(log));
  const reachable = () => turns(log).filter((each) => each.tabIndex === 0).map((each) => Number(each.dataset.turn));
  assert.deepEqual(reachable(), [2]);
  press(log.root, "ArrowUp");
  const seen = ["ArrowUp", "ArrowUp", "ArrowUp", "ArrowDown", "End", "ArrowDown", "Home"].map((key) => {
    press(document.activeElement, key);
    assert.deepEqual(reachable(), [Number(document.activeElement.dataset.turn)]);
    return Number(document.activeElement.dataset.turn);
  });
  assert.deepEqual(seen, [1, 0, 0, 1, 2, 2, 0]);
  const inside = press(turns(log)[0].querySelector("button"), "ArrowDown");
  assert.ok(!inside.defaultPrevented); // keys inside a turn are its own
});

test("a page that is out of sight is painted all the same", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { log, app } = reading(begin([0]));
  Object.defineProperty(document, "hidden", { value: true });
  app.turns.change({ sequence: 1, changes: [{ turn: 0, html: ["<p>later</p>"] }] });
  log.touch([0]);
  paint();
  assert.ok(!log.inner.textContent.includes("later"));
  context.mock.timers.tick(250);
  assert.ok(log.inner.textContent.includes("later"));
});
