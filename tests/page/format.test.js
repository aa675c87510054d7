import assert from "node:assert/strict";
import { test } from "node:test";

import { countdown, day, say, size, tokens } from "../../chatanywhere_magic/panel/page/format.js";

test("fields are filled in, and braces in what is filled in stay", () => {
  const strings = { greeting: "Hello {name}, {name}! {unknown}" };
  assert.equal(say(strings, "greeting", { name: "{name}" }), "Hello {name}, {name}! {unknown}");
  assert.equal(say(strings, "missing"), "");
});

test("sizes are as long as they need to be", () => {
  assert.deepEqual([0, 999, 1000, 123_456, 5_000_000].map(size), ["0 B", "999 B", "1 kB", "123.5 kB", "5 MB"]);
});

test("a countdown is read as a timer is", () => {
  assert.deepEqual([0, 7, 60, 3600, 3661].map(countdown), ["0:00", "0:07", "1:00", "1:00:00", "1:01:01"]);
});

test("numbers and days follow the language", () => {
  assert.equal(tokens(4096, "en"), "4.1K");
  assert.match(day(0, "ru"), /1970/u);
  assert.match(day(0, "zh"), /1970年/u);
});
