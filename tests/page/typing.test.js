import assert from "node:assert/strict";
import { test } from "node:test";

import { commandIn, isNames, mayTravel, meaning, Recall, undoOrRedo, wordAt } from "../../chatanywhere_magic/panel/page/typing.js";

const idle = { menu: false, empty: false, running: false };

test("Enter sends; with Shift or Alt it breaks the line", () => {
  assert.equal(meaning({ key: "Enter" }, idle), "send");
  assert.equal(meaning({ key: "Enter", ctrlKey: true }, idle), "send");
  assert.equal(meaning({ key: "Enter", shiftKey: true }, idle), "newline");
  assert.equal(meaning({ key: "Enter", altKey: true }, idle), "newline");
});

test("an input method keeps its keys", () => {
  for (const key of ["Enter", "ArrowUp", "Escape", "Tab"]) {
    for (const menu of [true, false]) {
      assert.equal(meaning({ key, isComposing: true }, { menu, empty: true, running: true }), "type");
      assert.equal(meaning({ key, keyCode: 229 }, { menu, empty: true, running: true }), "type");
    }
  }
});

test("Escape stops what runs, and closes suggestions first", () => {
  assert.equal(meaning({ key: "Escape" }, { ...idle, running: true }), "stop");
  assert.equal(meaning({ key: "Escape" }, { ...idle, running: true, menu: true }), "dismiss");
  assert.equal(meaning({ key: "Escape" }, idle), "type");
});

test("Up in an empty box recalls; in a text it moves the caret", () => {
  assert.equal(meaning({ key: "ArrowUp" }, { ...idle, empty: true }), "older");
  assert.equal(meaning({ key: "ArrowUp" }, idle), "type");
  assert.equal(meaning({ key: "ArrowUp" }, { ...idle, empty: true, menu: true }), "up");
  assert.equal(meaning({ key: "ArrowUp", shiftKey: true }, { ...idle, empty: true }), "type");
});

test("Enter and Tab take a suggestion, if there are any", () => {
  for (const key of ["Enter", "Tab"]) assert.equal(meaning({ key }, { ...idle, menu: true }), "accept");
  assert.equal(meaning({ key: "Tab" }, idle), "type");
  assert.equal(meaning({ key: "Enter", shiftKey: true }, { ...idle, menu: true }), "newline");
});

test("only the notebook's chords reach it, and never one that runs the cell", () => {
  assert.ok(mayTravel({ key: "s", ctrlKey: true }));
  assert.ok(mayTravel({ key: "s", metaKey: true }));
  for (const key of [{ key: "Enter", shiftKey: true }, { key: "Enter", ctrlKey: true }, { key: "d" }, { key: "Escape" }]) {
    assert.ok(!mayTravel(key));
  }
});

test("undo and redo are the box's, on every keyboard", () => {
  for (const held of [{ ctrlKey: true }, { metaKey: true }]) {
    const keys = [
      [{ key: "z" }, "undo"],
      [{ key: "Z", shiftKey: true }, "redo"],
      [{ key: "y" }, "redo"],
      [{ key: "я", code: "KeyZ" }, "undo"],
      [{ key: "н", code: "KeyY" }, "redo"],
      [{ key: "y", code: "KeyZ" }, "redo"], // a German keyboard
      [{ key: "s" }, null],
      [{ key: "z", altKey: true }, null],
      [{ key: "z", isComposing: true }, null],
    ];
    for (const [key, what] of keys) {
      assert.equal(undoOrRedo({ ...held, ...key }), what);
      assert.ok(!what || !mayTravel({ ...held, ...key }));
    }
  }
  assert.equal(undoOrRedo({ key: "z" }), null);
});

test("a file manager's names and paths are told from text that is meant", () => {
  for (const text of [
    "",
    "данные.csv",
    "/home/me/данные.csv\n",
    "C:\\Users\\me\\данные.csv",
    '"C:\\my files\\b c.txt"\r\n/x/данные.csv',
    "file:///home/me/b%20c.txt",
    "x-special/nautilus-clipboard\ncopy\nfile:///home/me/%D0%B4%D0%B0%D0%BD%D0%BD%D1%8B%D0%B5.csv",
    "b c.txt".normalize("NFD"),
  ]) {
    assert.ok(isNames(text, ["данные.csv", "b c.txt"]), text);
  }
  for (const text of ["A\tB", "see данные.csv", "данные", "https://x.org/other.csv", "file:///%"]) {
    assert.ok(!isNames(text, ["данные.csv"]), text);
  }
});

test("a name can be completed wherever it stands", () => {
  assert.deepEqual(wordAt("about @df", 9), { mark: "@", word: "df", start: 6, end: 9 });
  assert.deepEqual(wordAt("@", 1), { mark: "@", word: "", start: 0, end: 1 });
  assert.deepEqual(wordAt("（@данные", 8), { mark: "@", word: "данные", start: 1, end: 8 });
  assert.deepEqual(wordAt("@df and more", 3), { mark: "@", word: "df", start: 0, end: 3 });
  for (const text of ["someone@example", "\\@df", "df", "@df ", "a @ b"]) assert.equal(wordAt(text, text.length), null);
});

test("a command is completed at the very beginning only", () => {
  assert.deepEqual(wordAt("/un", 3), { mark: "/", word: "un", start: 0, end: 3 });
  for (const text of ["see /un", "/undo ", "/Un"]) assert.equal(wordAt(text, text.length), null);
});

test("what begins with a slash and is no command is a question", () => {
  const names = ["undo", "model"];
  assert.deepEqual(commandIn("/model tiny one", names), { name: "model", argument: "tiny one" });
  assert.deepEqual(commandIn(" /undo\n", names), { name: "undo", argument: "" });
  for (const text of ["/etc/hosts is what?", "/unknown", "undo", "// undo", "/undo!"]) assert.equal(commandIn(text, names), null);
});

test("Up and Down go through what was asked, and come back to an empty box", () => {
  const recall = new Recall();
  const questions = ["three", "two"];
  assert.equal(recall.move(questions, -1), null);
  assert.equal(recall.move(questions, 1), "three");
  assert.equal(recall.move(questions, 1), "two");
  assert.equal(recall.move(questions, 1), null);
  assert.ok(recall.active);
  assert.equal(recall.move(questions, -1), "three");
  assert.equal(recall.move(questions, -1), "");
  assert.ok(!recall.active);
});
