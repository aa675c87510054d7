import assert from "node:assert/strict";
import { test } from "node:test";

import { remedyFor, secondsToWait } from "../../chatanywhere_magic/panel/page/remedies.js";

test("a login is for key problems, another model for problems of the model", () => {
  assert.deepEqual(["authentication", "missing_key"].map(remedyFor), ["log_in", "log_in"]);
  assert.deepEqual(["not_found", "unsupported", "context_length"].map(remedyFor), new Array(3).fill("change_model"));
  assert.deepEqual(["rate_limit", "server", "dns", "quota", ""].map(remedyFor), new Array(5).fill("try_again"));
});

test("only a rate limit is waited for, and only until its end", () => {
  assert.equal(secondsToWait("rate_limit", 10.2, 8), 3);
  assert.equal(secondsToWait("rate_limit", 10, 11), 0);
  assert.equal(secondsToWait("rate_limit", null, 0), 0);
  assert.equal(secondsToWait("server", 10, 0), 0);
});
