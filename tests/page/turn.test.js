import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { TurnView } from "../../chatanywhere_magic/panel/page/turn.js";
import { click, head, labels, open, press, settle, stand } from "./stage.js";

let body = null;

beforeEach(() => {
  body = open();
});

const show = (fields = {}, content = {}) => {
  const app = stand();
  const view = new TurnView(app, 3);
  body.replaceChildren(view.root);
  const turn = { head: head(fields), epoch: 1, html: [], tail: "", reasoning: [], sketch: null, ...content };
  const isWhole = view.update(turn, Number.POSITIVE_INFINITY);
  const change = (more, end = Number.POSITIVE_INFINITY) => view.update(Object.assign(turn, more), end);
  return { app, view, turn, change, isWhole };
};

const pieces = (view) => [...view.body.querySelectorAll(".chatanywhere-piece")];
const CODE = '<div class="highlight"><pre>x = 1\n</pre></div>';

test("an answer grows by pieces, and what is shown already is not touched", () => {
  const { view, turn, change } = show({ status: "streaming" }, { html: ["<p>One</p>"], tail: "<p>Tw</p>" });
  const [first] = pieces(view);
  turn.html.push("<p>Two</p>");
  change({ tail: "<p>Thr</p>" });
  assert.ok(pieces(view)[0] === first);
  assert.equal(view.body.textContent, "OneTwoThr");
  assert.ok(view.body.lastElementChild === view.tail);
});

test("another version shows its own answer alone", () => {
  const { view, change } = show({}, { html: ["<p>One</p>"], tail: "<p>x</p>", reasoning: ["hm"] });
  change({ epoch: 2, html: ["<p>Other</p>"], tail: "", reasoning: [] });
  assert.equal(view.body.textContent, "Other");
  assert.equal(view.thoughts.textContent, "");
  assert.ok(view.reasoning.hidden);
});

test("a long answer is shown a piece at a time once the frame is over, and keeps its place until it is whole", () => {
  const { view, change, isWhole } = show({}, { html: [] });
  assert.ok(isWhole);
  view.reserve(500.4, true);
  assert.ok(view.isReserved);
  const html = ["a", "b", "c"].map((word) => `<p>${word}</p>`);
  assert.ok(!change({ html }, 0));
  assert.ok(!change({}, 0));
  assert.deepEqual([pieces(view).length, view.root.style.minHeight], [2, "500px"]);
  assert.ok(change({}, 0));
  assert.deepEqual([pieces(view).length, view.isReserved], [3, false]);
});

test("reasoning is added to, as text", () => {
  const { view, turn, change } = show({}, { reasoning: ["<b>hm</b>"] });
  turn.reasoning.push(", so");
  change({});
  assert.equal(view.thoughts.textContent, "<b>hm</b>, so");
  assert.ok(!view.thoughts.querySelector("b"));
});

test("what a person or a provider wrote enters the page as text", () => {
  const hostile = "<img src=x onerror=alert(1)>";
  const chips = [{ name: hostile, kind: "text", size: 1 }];
  const { view } = show({ prompt: hostile, chips, problem: { words: hostile, kind: "", retry_at: null }, footer: hostile });
  assert.ok(!view.root.querySelector("img"));
  assert.equal(view.root.textContent.split(hostile).length, 5);
});

test("formulas are typeset where there are any, and in what is new only", () => {
  const formula = '<p><span class="mathjax_process">$x$</span></p>';
  const { app, view, turn, change } = show({}, { html: ["<p>a</p>", formula] });
  assert.ok(app.calls.length === 1 && app.calls[0][1] === pieces(view)[1]);
  turn.html.push("<p>b</p>");
  change({ tail: formula });
  assert.ok(app.calls.length === 2 && app.calls[1][1] === view.tail);
});

test("code can be copied and inserted, below the cell that asked", () => {
  const { app, view, turn, change } = show({ cell: "c1" });
  turn.html.push(CODE);
  change({});
  click(view.body, "copy_code");
  click(view.body, "insert_code");
  assert.deepEqual(app.calls, [["copy", "x = 1\n"], ["insertCode", "x = 1\n", "c1"]]);
});

test("a cell's prompt leads to its cell", () => {
  const { app, view, change } = show({ source: "cell", cell: "c1" });
  click(view.prompt, "from_cell");
  assert.deepEqual(app.calls, [["goTo", "c1"]]);
  app.notebook.has = () => false;
  change({ head: head({ source: "cell", cell: "gone" }) });
  assert.deepEqual(labels(view.prompt), []);
});

test("an answer on its way can be cancelled while it waits, and nothing else", () => {
  const { app, view, change } = show({ status: "queued", waiting: "waits" });
  assert.deepEqual(labels(view.root), ["cancel"]);
  assert.equal(view.below.firstElementChild.textContent, "waits");
  click(view.below, "cancel");
  assert.deepEqual(app.calls, [["cancel", 3, "Why?"]]);
  change({ head: head({ status: "streaming" }) });
  assert.deepEqual(labels(view.root), []);
  assert.equal(view.root.getAttribute("aria-busy"), "true");
  change({ head: head({ footer: "done" }) });
  assert.equal(view.root.getAttribute("aria-busy"), "false");
  assert.deepEqual(labels(view.actions), ["copy", "retry", "edit", "pin", "more"]);
});

const failed = (kind, retryAt = null) => ({ status: "failed", problem: { words: "no", kind, retry_at: retryAt } });

test("a failure offers what can be done about it, and nothing else", () => {
  const { app, view, change } = show(failed("missing_key"));
  assert.deepEqual(labels(view.below), ["log_in"]);
  click(view.below, "log_in");
  change({ head: head(failed("not_found")) });
  assert.deepEqual(labels(view.below), ["change_model"]);
  click(view.below, "change_model");
  const [, , choose] = app.calls.at(-1);
  choose("openai", "tiny");
  change({ head: head(failed("")) });
  assert.deepEqual(labels(view.below), ["try_again"]);
  click(view.below, "try_again");
  assert.deepEqual(app.calls.map((call) => call[0]), ["logIn", "chooseModel", "act", "act"]);
  assert.deepEqual(app.calls.slice(2), [
    ["act", "retry", { turn: 3, provider: "openai", model: "tiny" }],
    ["act", "retry", { turn: 3 }],
  ]);
});

test("a rate limit counts down until it can be tried again", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 100_000 });
  const { app, view } = show(failed("rate_limit", 102.5));
  const [button] = view.below.querySelectorAll("button");
  assert.deepEqual([button.textContent, button.disabled], ["retry_in 0:03", true]);
  context.mock.timers.tick(1000);
  assert.equal(button.textContent, "retry_in 0:02");
  context.mock.timers.tick(2000);
  assert.deepEqual([button.textContent, button.disabled], ["try_again", false]);
  button.click();
  assert.deepEqual(app.calls, [["act", "retry", { turn: 3 }]]);
});

test("a countdown ends with the problem", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 100_000 });
  const { view, change } = show(failed("rate_limit", 110));
  const [button] = view.below.querySelectorAll("button");
  change({ head: head({}) });
  context.mock.timers.tick(5000);
  assert.equal(button.textContent, "retry_in 0:10");
});

test("versions are counted from 1 for the reader, and from 0 for the kernel", () => {
  const { app, view, change } = show({ version: 2, versions: 3 });
  click(view.actions, "version_before");
  click(view.actions, "version_after");
  assert.deepEqual(app.calls.map((call) => call[2]), [{ turn: 3, version: 0 }, { turn: 3, version: 2 }]);
  const disabled = () => [...view.actions.querySelectorAll(".chatanywhere-versions button")].map((each) => each.disabled);
  change({ head: head({ version: 1, versions: 3 }) });
  assert.deepEqual(disabled(), [true, false]);
  change({ head: head({ version: 3, versions: 3 }) });
  assert.deepEqual(disabled(), [false, true]);
  change({ head: head({ version: 2, versions: 3, status: "streaming" }) });
  assert.deepEqual(disabled(), [true, true]);
});

test("a button that is replaced hands the focus to its successor, or to the turn", () => {
  const { view, change } = show({ version: 2, versions: 2 });
  const before = [...view.actions.querySelectorAll("button")].find((each) => each.getAttribute("aria-label") === "version_before");
  before.focus();
  change({ head: head({ version: 2, versions: 3 }) });
  assert.ok(document.activeElement !== before);
  assert.equal(document.activeElement.getAttribute("aria-label"), "version_before");
  change({ head: head({ version: 1, versions: 3 }) });
  assert.ok(document.activeElement === view.root);
});

test("pinning says which way it goes", () => {
  const { app, view, change } = show();
  click(view.actions, "pin");
  change({ head: head({ pinned: true }) });
  click(view.actions, "unpin");
  assert.deepEqual(app.calls.map((call) => call[2].pinned), [true, false]);
});

test("what is copied is what the model wrote", async () => {
  const { app, view } = show({}, { html: ["<p><b>Bold</b></p>"] });
  app.answers.source = Promise.resolve({ ok: true, data: "**Bold**" });
  click(view.actions, "copy");
  await settle();
  app.answers.source = Promise.resolve({ ok: false });
  click(view.actions, "copy");
  await settle();
  assert.deepEqual(app.calls.filter(([name]) => name === "copy").map((call) => call[1]), ["**Bold**", "Bold"]);
});

test("a prompt is edited in its place, and what comes in the meantime leaves the box alone", async () => {
  const { app, view, change } = show();
  click(view.actions, "edit");
  const box = view.prompt.querySelector("textarea");
  assert.ok(document.activeElement === box);
  box.value = "Why not?";
  change({ head: head({ pinned: true }) });
  assert.ok(view.prompt.querySelector("textarea") === box);
  press(box, "Enter", { isComposing: true });
  press(box, "Enter", { shiftKey: true });
  assert.deepEqual(app.calls, []);
  app.answers.revise = Promise.resolve({ ok: false });
  press(box, "Enter");
  await settle();
  assert.ok(view.prompt.contains(box)); // it was refused, and is not lost
  app.answers.revise = Promise.resolve({ ok: true });
  click(view.prompt, "send");
  await settle();
  assert.deepEqual(app.calls.map((call) => call.slice(1)), new Array(2).fill(["revise", { turn: 3, text: "Why not?" }]));
  assert.ok(!view.prompt.querySelector("textarea"));
  assert.ok(view.prompt.querySelector(".chatanywhere-pin"));
});

test("Escape leaves a prompt as it was, and the notebook does not hear of it", () => {
  const { app, view } = show();
  click(view.actions, "edit");
  const heard = [];
  body.addEventListener("keydown", (event) => heard.push(event.key));
  press(view.prompt.querySelector("textarea"), "Escape");
  assert.equal(view.prompt.querySelector(".chatanywhere-words").textContent, "Why?");
  assert.deepEqual([heard, app.calls], [[], []]);
  assert.ok(view.actions.contains(document.activeElement));
});

test("Tab goes through one turn, with everything in it that is new", () => {
  const { view, turn, change } = show();
  const reachable = () => [view.root, ...view.root.querySelectorAll("button, summary")].map((each) => each.tabIndex);
  assert.deepEqual(new Set(reachable()), new Set([-1]));
  view.setReachable(true);
  turn.html.push(CODE);
  change({ head: head({ pinned: true }) });
  assert.deepEqual(new Set(reachable()), new Set([0]));
  view.setReachable(false);
  assert.deepEqual(new Set(reachable()), new Set([-1]));
});
