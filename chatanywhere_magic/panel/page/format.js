/** Numbers, times and texts as a person reads them. No page is needed for it. */

/**
 * Fill `{fields}` of a text in.
 *
 * @param {Record<string, string>} strings
 * @param {string} key
 * @param {Record<string, string | number>} [fields]
 * @returns {string}
 */
export function say(strings, key, fields = {}) {
  return (strings[key] ?? "").replace(/\{(\w+)\}/gu, (whole, name) => (name in fields ? String(fields[name]) : whole));
}

/**
 * @param {number} bytes
 * @returns {string}
 */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${Math.round(bytes / 100) / 10} kB`;
  return `${Math.round(bytes / 100_000) / 10} MB`;
}

/** @type {Map<string, Intl.NumberFormat | Intl.DateTimeFormat>} */
const made = new Map();

/**
 * Making a formatter takes a hundred times as long as using it.
 *
 * @template {Intl.NumberFormat | Intl.DateTimeFormat} F
 * @param {string} name
 * @param {() => F} make
 * @returns {F}
 */
function once(name, make) {
  const known = made.get(name) ?? make();
  made.set(name, known);
  return /** @type {F} */ (known);
}

/**
 * @param {number} count
 * @param {string} language
 * @returns {string}
 */
export function tokens(count, language) {
  const options = /** @type {const} */ ({ notation: "compact", maximumFractionDigits: 1 });
  return once(`tokens ${language}`, () => new Intl.NumberFormat(language, options)).format(count);
}

/**
 * @param {number} seconds since the epoch
 * @param {string} language
 * @returns {string}
 */
export function clock(seconds, language) {
  const options = /** @type {const} */ ({ hour: "2-digit", minute: "2-digit" });
  return once(`clock ${language}`, () => new Intl.DateTimeFormat(language, options)).format(seconds * 1000);
}

/**
 * @param {number} seconds
 * @returns {string} as on a timer: 0:07, 1:00:00
 */
export function countdown(seconds) {
  const minutes = Math.floor(seconds / 60);
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  const hours = Math.floor(minutes / 60);
  return `${hours ? `${hours}:${two(minutes % 60)}` : minutes}:${two(seconds % 60)}`;
}

/**
 * @param {number} seconds since the epoch
 * @param {string} language
 * @returns {string}
 */
export function day(seconds, language) {
  const options = /** @type {const} */ ({ weekday: "short", day: "numeric", month: "long", year: "numeric" });
  return once(`day ${language}`, () => new Intl.DateTimeFormat(language, options)).format(seconds * 1000);
}
