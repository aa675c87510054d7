/** What can be done about a failure, by its kind. No page is needed for it. */

const KEY_PROBLEMS = new Set(["authentication", "missing_key"]);
const MODEL_PROBLEMS = new Set(["context_length", "not_found", "permission", "unsupported"]);

/**
 * @param {string} kind of an error of the kernel's
 * @returns {"log_in" | "change_model" | "try_again"}
 */
export function remedyFor(kind) {
  if (KEY_PROBLEMS.has(kind)) return "log_in";
  return MODEL_PROBLEMS.has(kind) ? "change_model" : "try_again";
}

/**
 * @param {string} kind
 * @param {number | null} retryAt seconds since the epoch, if the provider said when
 * @param {number} now the same
 * @returns {number} whole seconds for which asking again makes no sense
 */
export function secondsToWait(kind, retryAt, now) {
  return kind === "rate_limit" && retryAt !== null ? Math.max(0, Math.ceil(retryAt - now)) : 0;
}
