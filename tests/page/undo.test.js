import assert from "node:assert/strict";
import { test } from "node:test";

import { History } from "../../chatanywhere_magic/panel/page/undo.js";

const at = (text, caret = text.length) => ({ text, start: caret, end: caret });

const typed = (history, text, from = "") => {
  for (let end = from.length + 1; end <= text.length; end += 1) history.note(at(text.slice(0, end)), "insertText");
};

test("what is typed is undone and redone word by word, with the caret", () => {
  const history = new History(at(""));
  typed(history, "one two ");
  assert.deepEqual(history.step("undo"), at("one "));
  assert.deepEqual(history.step("undo"), at(""));
  assert.equal(history.step("undo"), null);
  assert.deepEqual(history.step("redo"), at("one "));
  assert.deepEqual(history.step("redo"), at("one two "));
  assert.equal(history.step("redo"), null);
});

test("what a script writes, a paste and letters that are deleted are steps of their own", () => {
  const history = new History(at("a"));
  history.note(at("a@df "));
  history.note(at("a@df pasted"), "insertFromPaste");
  history.note(at("a@df paste"), "deleteContentBackward");
  history.note(at("a@df past"), "deleteContentBackward");
  assert.deepEqual(history.step("undo"), at("a@df pasted"));
  assert.deepEqual(history.step("undo"), at("a@df "));
  assert.deepEqual(history.step("undo"), at("a"));
});

test("a word of an input method is one step", () => {
  const history = new History(at(""));
  for (const text of ["n", "ni", "你"]) history.note(at(text), "insertCompositionText");
  history.pause();
  for (const text of ["你h", "你好"]) history.note(at(text), "insertCompositionText");
  assert.deepEqual(history.step("undo"), at("你"));
  assert.deepEqual(history.step("undo"), at(""));
});

test("something new ends what could be redone", () => {
  const history = new History(at("a"));
  history.note(at("b"));
  history.step("undo");
  history.note(at("c"));
  assert.equal(history.step("redo"), null);
  assert.deepEqual(history.step("undo"), at("a"));
});

test("long texts are forgotten after some steps", () => {
  const history = new History(at(""));
  for (let count = 1; count <= 10; count += 1) history.note(at("x".repeat(1_000_000) + count));
  let steps = 0;
  while (history.step("undo")) steps += 1;
  assert.equal(steps, 3);
});
