import assert from "node:assert/strict";
import { test } from "node:test";

import { day, say, size, tokens } from "../../chatanywhere_magic/panel/page/format.js";

test("fields are filled in, and braces in what is filled in stay", () => {
  const strings = { greeting: "Hello {name}, {name}! {unknown}" };
  assert.equal(say(strings, "greeting", { name: "{name}" }), "Hello {name}, {name}! {unknown}");
  assert.equal(say(strings, "missing"), "");
});

test("sizes are as long as they need to be", () => {
  assert.deepEqual([0, 999, 1000, 123_456, 5_000_000].map(size), ["0 B", "999 B", "1 kB", "123.5 kB", "5 MB"]);
});

test("numbers and days follow the language", () => {
  assert.equal(tokens(4096, "en"), "4.1K");
  assert.match(day(0, "ru"), /1970/u);
  assert.match(day(0, "zh"), /1970年/u);
});
