import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { Composer } from "../../chatanywhere_magic/panel/page/composer.js";
import { click, head, labels, open, press, settle, stand } from "./stage.js";

let body = null;

beforeEach(() => {
  body = open();
});

const compose = (fields) => {
  const app = stand(fields);
  const composer = new Composer(app);
  body.replaceChildren(composer.root);
  composer.box.focus();
  return { app, composer, box: composer.box };
};

const type = (box, text) => {
  box.value = text;
  box.setSelectionRange(text.length, text.length);
  box.dispatchEvent(new Event("input"));
};

const items = (composer) => [...composer.list.children].map((each) => each.firstElementChild.textContent);

test("Enter sends what is written, and the box is empty for the next prompt", async () => {
  const { app, box } = compose();
  type(box, "\nWhat is a list?\n  And a set?\n");
  press(box, "Enter");
  assert.deepEqual(app.calls, [["post", "What is a list?\n  And a set?", [], false]]);
  assert.equal(box.value, "");
  await settle();
  assert.equal(box.value, "");
});

test("nothing is sent where nothing is written", () => {
  const { app, composer, box } = compose();
  type(box, " \n ");
  press(box, "Enter");
  click(composer.root, "send");
  assert.deepEqual(app.calls, []);
});

test("what is refused comes back, before what was typed since", async () => {
  const { app, composer, box } = compose();
  app.answers.send = Promise.resolve({ ok: false, words: "no" });
  type(box, "first");
  press(box, "Enter");
  type(box, "second");
  await settle();
  assert.equal(box.value, "first\nsecond");
  assert.equal(composer.problem.textContent, "no");
  assert.ok(!composer.problem.hidden);
  type(box, "else");
  assert.ok(composer.problem.hidden);
});

test("what looks like a key is sent only if the person says so", async () => {
  const { app, composer, box } = compose();
  app.answers.send = Promise.resolve({ ok: false, words: "a key", may_send: true });
  type(box, "sk-…");
  press(box, "Enter");
  await settle();
  app.answers.send = Promise.resolve({ ok: true });
  click(composer.problem, "send_anyway");
  assert.deepEqual(app.calls.map((call) => call.at(-1)), [false, true]);
  await settle();
  assert.equal(box.value, "");
  assert.ok(composer.problem.hidden);
});

test("where there is no key a login is offered, and the prompt is kept", async () => {
  const { app, composer, box } = compose();
  app.wayOut = (kind) => (kind === "missing_key" ? { label: "log_in", click: () => app.logIn() } : null);
  app.answers.send = Promise.resolve({ ok: false, words: "no key", kind: "missing_key" });
  type(box, "Why?");
  press(box, "Enter");
  await settle();
  click(composer.problem, "log_in");
  assert.deepEqual([app.calls.at(-1), box.value], [["logIn"], "Why?"]);
});

test("a command is carried out, and what it says is shown", async () => {
  const { app, box } = compose({ commands: [{ name: "model", help: "", argument: true }] });
  app.answers.command = Promise.resolve({ ok: true, data: "done" });
  type(box, "/model tiny");
  press(box, "Enter");
  await settle();
  assert.deepEqual(app.calls, [["ask", "command", { name: "model", argument: "tiny" }], ["tell", "done"]]);
});

test("Shift+Enter is the box's own, Alt+Enter breaks the line, and the notebook hears of neither", () => {
  const { app, box } = compose();
  const heard = [];
  body.addEventListener("keydown", (event) => heard.push(event.key));
  type(box, "one");
  assert.ok(!press(box, "Enter", { shiftKey: true }).defaultPrevented);
  assert.ok(press(box, "Enter", { altKey: true }).defaultPrevented);
  assert.equal(box.value, "one\n");
  press(box, "s", { ctrlKey: true });
  assert.deepEqual(heard, ["s"]);
  assert.deepEqual(app.calls, []);
});

test("Escape stops the answer that runs", () => {
  const { app, composer, box } = compose();
  press(box, "Escape");
  composer.show(true, 0);
  press(box, "Escape");
  assert.deepEqual(app.calls, [["stop"]]);
});

test("a Stop that goes while it has the focus leaves it to the box", () => {
  const { composer, box } = compose();
  composer.show(true, 2);
  assert.equal(composer.queue.textContent, "queued 2");
  composer.stop.focus();
  composer.show(false, 0);
  assert.ok(document.activeElement === box);
  assert.ok(composer.stop.hidden);
  assert.equal(composer.queue.textContent, "");
});

test("Up and Down recall what was asked", () => {
  const { app, box } = compose();
  const asked = ["one", "two"].map((prompt, turn) => ({ turn, fresh: true, head: head({ prompt }) }));
  app.turns.begin({ sequence: 0, order: [0, 1], changes: asked, sketches: [], header: null });
  const seen = ["ArrowUp", "ArrowUp", "ArrowUp", "ArrowDown", "ArrowDown"].map((key) => {
    press(box, key);
    return box.value;
  });
  assert.deepEqual(seen, ["two", "one", "one", "two", ""]);
  type(box, "mine");
  press(box, "ArrowUp");
  assert.equal(box.value, "mine");
});

test("names are completed after a pause in typing, and Enter takes the one that is chosen", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { app, composer, box } = compose();
  app.answers.complete = Promise.resolve({ ok: true, data: ["df", "dates"].map((name) => ({ name, detail: "" })) });
  type(box, "about @d");
  assert.deepEqual(app.calls, []);
  context.mock.timers.tick(100);
  await settle();
  assert.deepEqual(app.calls, [["ask", "complete", { word: "d" }, 2000]]);
  assert.deepEqual(items(composer), ["@df", "@dates"]);
  press(box, "ArrowDown");
  assert.equal(box.getAttribute("aria-activedescendant"), composer.list.children[1].id);
  press(box, "ArrowDown");
  press(box, "ArrowUp");
  press(box, "Enter");
  assert.equal(box.value, "about @dates ");
  assert.ok(composer.list.hidden);
});

test("what is found for an earlier word is not shown", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { app, composer, box } = compose();
  const waiting = [];
  app.ask = (_, { word }) => new Promise((resolve) => waiting.push([word, resolve]));
  for (const text of ["@d", "@da"]) {
    type(box, text);
    context.mock.timers.tick(100);
  }
  for (const [word, resolve] of waiting.reverse()) resolve({ ok: true, data: [{ name: `${word}…`, detail: "" }] });
  await settle();
  assert.deepEqual(items(composer), ["@da…"]);
  press(box, "Escape");
  assert.deepEqual(items(composer), []);
});

test("commands are completed from what the kernel has", async () => {
  const commands = [["undo", false], ["unpin", true], ["model", true]].map(([name, argument]) => ({ name, argument, help: "" }));
  const { composer, box } = compose({ commands });
  box.value = "/un";
  box.setSelectionRange(3, 3);
  box.dispatchEvent(new Event("click"));
  await settle();
  assert.deepEqual(items(composer), ["/undo", "/unpin"]);
  press(box, "ArrowUp");
  press(box, "Tab");
  assert.equal(box.value, "/unpin ");
});

test("files are read as what they are, and sent with the prompt", async () => {
  const { app, composer, box } = compose();
  const bytes = Uint8Array.from({ length: 70_000 }, (_, at) => at % 256);
  await composer.attach([new File([bytes], "a.png", { type: "image/png" }), new File(["слово"], "b.txt")]);
  assert.deepEqual([...composer.chips.children].map((each) => each.dataset.kind), ["image", "text"]);
  type(box, "What is it?");
  press(box, "Enter");
  const [[, , [picture, text]]] = app.calls;
  assert.deepEqual(Buffer.from(picture.data, "base64"), Buffer.from(bytes));
  assert.deepEqual(text, { name: "b.txt", media_type: "text/plain", text: "слово" });
  assert.ok(composer.chips.hidden);
});

test("of files only so many and so large ones are taken, and none that is neither text nor picture", async () => {
  const { app, composer } = compose();
  app.answers.read = Promise.resolve({ ok: false, words: "binary" });
  for (const bytes of [new Uint8Array([0xff, 0xfe]), "a\0b"]) {
    await composer.attach([new File([bytes], "a.bin")]);
    assert.equal(composer.problem.textContent, "binary");
  }
  await composer.attach([new File([new Uint8Array(5_000_001)], "big.txt")]);
  assert.equal(composer.problem.textContent, "file_too_large big.txt 5 MB");
  assert.ok(composer.chips.hidden);
  await composer.attach(Array.from({ length: 11 }, (_, at) => new File(["a"], `${at}.txt`)));
  assert.equal(composer.problem.textContent, "too_many_files 10");
  assert.equal(composer.chips.children.length, 10);
  click(composer.chips, "remove 3.txt");
  assert.deepEqual(labels(composer.chips).slice(2, 4), ["remove 2.txt", "remove 4.txt"]);
});

test("a prompt with files that is refused keeps them", async () => {
  const { app, composer, box } = compose();
  app.answers.send = Promise.resolve({ ok: false, words: "no" });
  await composer.attach([new File(["a"], "a.txt")]);
  type(box, "/undo");
  app.commands = [{ name: "undo", help: "", argument: false }];
  press(box, "Enter");
  await settle();
  assert.equal(app.calls[0][0], "post"); // with a file it is no command
  assert.deepEqual(labels(composer.chips), ["remove a.txt"]);
});

test("what the page cannot read is read in the kernel", async () => {
  const { app, composer } = compose();
  app.answers.read = Promise.resolve({ ok: true, data: { name: "b.txt (gb18030)", media_type: "text/plain", text: "中文" } });
  await composer.attach([new File([Uint8Array.of(0xd6, 0xd0, 0xce, 0xc4)], "b.txt"), new File(["%PDF-1.4"], "c.pdf")]);
  assert.deepEqual(app.calls, [
    ["ask", "read", { name: "b.txt", data: "1tDOxA==" }],
    ["ask", "read", { name: "c.pdf", data: "JVBERi0xLjQ=" }],
  ]);
  assert.match(composer.chips.textContent, /b\.txt \(gb18030\)4 B/u);
});

test("undo reaches what was completed and recalled, and a key for it never the notebook", () => {
  const { app, box } = compose();
  app.turns.prompts = () => ["before"];
  type(box, "one");
  press(box, "Enter", { altKey: true });
  assert.equal(box.value, "one\n");
  const event = press(box, "z", { ctrlKey: true });
  assert.ok(event.defaultPrevented);
  assert.equal(box.value, "one");
  press(box, "z", { metaKey: true });
  assert.equal(box.value, "");
  press(box, "ArrowUp");
  assert.equal(box.value, "before");
  press(box, "z", { ctrlKey: true });
  assert.equal(box.value, "");
  press(box, "y", { ctrlKey: true });
  assert.equal(box.value, "before");
  let heard = 0;
  document.body.addEventListener("keydown", () => {
    heard += 1;
  });
  for (let count = 0; count < 9; count += 1) press(box, "z", { ctrlKey: true });
  assert.equal(heard, 0);
});

test("pasted files are attached, unless the same is there as text", async () => {
  const { composer, box } = compose();
  const attach = composer.attach.bind(composer);
  let done = Promise.resolve();
  composer.attach = (files) => {
    done = attach(files);
    return done;
  };
  const paste = async (text) => {
    const event = new Event("paste", { bubbles: true, cancelable: true });
    event.clipboardData = { files: [new File(["a"], "a.txt")], getData: () => text };
    box.dispatchEvent(event);
    await done;
    return [event.defaultPrevented, composer.chips.children.length];
  };
  assert.deepEqual(await paste("A\tB"), [false, 0]);
  assert.deepEqual(await paste(""), [true, 1]);
  assert.deepEqual(await paste("/home/me/a.txt"), [true, 2]); // a file manager copies the name, too
});

test("a draft outlives the page, for its notebook, until it is sent", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { composer, box } = compose();
  type(box, "half a thought");
  composer.close(); // before it has been saved
  assert.equal(compose().box.value, "half a thought");
  assert.equal(compose({ notebook: { path: "b.ipynb" } }).box.value, "");
  const again = compose();
  press(again.box, "Enter");
  context.mock.timers.tick(400);
  assert.equal(compose().box.value, "");
});

test("a browser that keeps nothing is no hindrance", () => {
  const keeper = globalThis.localStorage;
  const refuse = mock.fn(() => {
    throw new Error("denied");
  });
  globalThis.localStorage = { getItem: refuse, setItem: refuse, removeItem: refuse };
  try {
    const { composer, box } = compose();
    type(box, "text");
    composer.close();
    assert.equal(refuse.mock.callCount(), 2);
  } finally {
    globalThis.localStorage = keeper;
  }
});

test("a prompt is offered only to an empty box", () => {
  const { composer, box } = compose();
  composer.offer("again");
  assert.equal(box.value, "again");
  composer.offer("other");
  assert.equal(box.value, "again");
});
