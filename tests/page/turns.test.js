import assert from "node:assert/strict";
import { test } from "node:test";

import { Turns } from "../../chatanywhere_magic/panel/page/turns.js";

const head = (prompt, fields = {}) => ({ prompt, status: "complete", ...fields });
const snapshot = (order, changes = [], sketches = []) => ({ sequence: 7, order, changes, sketches, header: { title: "" } });

test("a snapshot names every turn and brings the content of some", () => {
  const turns = new Turns();
  turns.begin(snapshot([0, 1, 2], [{ turn: 2, fresh: true, head: head("third"), html: ["<p>c</p>"] }]));
  assert.deepEqual(turns.order, [0, 1, 2]);
  assert.equal(turns.all.get(0).head, null);
  assert.deepEqual(turns.all.get(2).html, ["<p>c</p>"]);
});

test("what fills in later does not overwrite what has changed since", () => {
  const turns = new Turns();
  turns.begin(snapshot([0, 1]));
  turns.change({ sequence: 8, changes: [{ turn: 0, fresh: true, head: head("new"), html: ["<p>new</p>"] }] });
  turns.fill({ changes: [0, 1].map((turn) => ({ turn, fresh: true, head: head("old"), html: ["<p>old</p>"] })) });
  assert.equal(turns.all.get(0).head.prompt, "new");
  assert.equal(turns.all.get(1).head.prompt, "old");
});

test("a change of an older turn that has not come yet is not taken for all of it", () => {
  const turns = new Turns();
  turns.begin(snapshot([0]));
  turns.change({ sequence: 8, changes: [{ turn: 0, head: head("pinned") }] });
  turns.fill({ changes: [{ turn: 0, fresh: true, head: head("pinned"), html: ["<p>a</p>"] }] });
  assert.deepEqual(turns.all.get(0).html, ["<p>a</p>"]);
});

test("of a turn that does not come by itself it is known that it must be asked for", () => {
  const turns = new Turns();
  turns.begin(snapshot([0, 1, 2], [{ turn: 2, fresh: true, head: head("third") }], [[0, 1e9, 5000]]));
  assert.deepEqual([0, 1, 2].map((index) => turns.isAway(index)), [true, false, false]);
  assert.deepEqual(turns.all.get(0).sketch, { started: 1e9, size: 5000 });
  turns.change({ sequence: 8, changes: [{ turn: 0, head: head("pinned") }] });
  assert.ok(turns.isAway(0));
  turns.fill({ changes: [{ turn: 0, fresh: true, head: head("first") }] });
  assert.ok(!turns.isAway(0));
});

test("an answer grows by pieces, and its open end is replaced", () => {
  const turns = new Turns();
  turns.begin(snapshot([0], [{ turn: 0, fresh: true, head: head("?"), html: [], tail: "<p>On</p>" }]));
  turns.change({ sequence: 8, changes: [{ turn: 0, html: ["<p>One</p>"], tail: "<p>Tw</p>" }] });
  const turn = turns.all.get(0);
  assert.deepEqual(turn.html, ["<p>One</p>"]);
  assert.equal(turn.tail, "<p>Tw</p>");
  const before = turn.epoch;
  turns.change({ sequence: 9, changes: [{ turn: 0, html: ["<p>Two</p>"], tail: "" }] });
  assert.deepEqual(turn.html, ["<p>One</p>", "<p>Two</p>"]);
  assert.equal(turn.epoch, before);
});

test("of a long open end only what is new is sent", () => {
  const turns = new Turns();
  turns.begin(snapshot([0], [{ turn: 0, fresh: true, head: head("?"), tail: "<pre>🙂 a</pre>" }]));
  turns.change({ sequence: 8, changes: [{ turn: 0, tail: "b</pre>", keep: "<pre>🙂 a".length }] });
  assert.equal(turns.all.get(0).tail, "<pre>🙂 ab</pre>");
});

test("another version voids what was shown of the one before", () => {
  const turns = new Turns();
  turns.begin(snapshot([0], [{ turn: 0, fresh: true, head: head("?"), html: ["<p>a</p>"], reasoning: "hm" }]));
  const before = turns.all.get(0).epoch;
  turns.change({ sequence: 8, changes: [{ turn: 0, fresh: true, html: ["<p>b</p>"] }] });
  const turn = turns.all.get(0);
  assert.deepEqual([turn.html, turn.reasoning, turn.epoch > before], [["<p>b</p>"], [], true]);
});

test("a lost message is noticed, and what came after it is not taken", () => {
  const turns = new Turns();
  turns.begin(snapshot([0], [{ turn: 0, fresh: true, head: head("?"), html: [] }]));
  assert.equal(turns.change({ sequence: 9, changes: [{ turn: 0, html: ["<p>b</p>"] }] }), false);
  assert.deepEqual(turns.all.get(0).html, []);
});

test("another snapshot is never taken for what is shown already", () => {
  const turns = new Turns();
  turns.begin(snapshot([0], [{ turn: 0, fresh: true, head: head("?"), html: ["<p>a</p>"] }]));
  const before = turns.all.get(0).epoch;
  turns.begin(snapshot([0], [{ turn: 0, fresh: true, head: head("?"), html: ["<p>b</p>"] }]));
  assert.ok(turns.all.get(0).epoch > before);
});

test("what was asked is recalled last first, and each once", () => {
  const turns = new Turns();
  const asked = ["one", "two", "one"].map((prompt, turn) => ({ turn, fresh: true, head: head(prompt) }));
  turns.begin(snapshot([0, 1, 2], asked));
  assert.deepEqual(turns.prompts(), ["one", "two"]);
});
