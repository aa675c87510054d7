/** Elements, icons and a pop-up menu: what every part of the panel is built from. Text enters a page as text only. */

const SVG = "http://www.w3.org/2000/svg";

/** Of a menu that is still being filled, in pixels. */
const LIKELY_HEIGHT = 200;

/** Drawn for a 16 × 16 box, as strokes. @type {Record<string, string>} */
const ICONS = {
  send: "M8 13V3M3.5 7.5 8 3l4.5 4.5",
  stop: "M4.5 4.5h7v7h-7z",
  attach: "M8 3v10M3 8h10",
  copy: "M6 6h7v7H6zM10 6V3H3v7h3",
  retry: "M13 8a5 5 0 1 1-1.5-3.6M13 2v3h-3",
  edit: "M3 13l.6-2.6L11 3l2 2-7.4 7.4z",
  pin: "M6 2.5h4l-.5 4 2 2.5h-7l2-2.5zM8 9v4.5",
  more: "M3 7.5h1v1H3zM7.5 7.5h1v1h-1zM12 7.5h1v1h-1z",
  previous: "M10 3 5 8l5 5",
  next: "M6 3l5 5-5 5",
  down: "M8 3v10M3.5 8.5 8 13l4.5-4.5",
  open: "M4 6l4 4 4-4",
  settings: "M3 5h6M12 5h1M3 11h1M7 11h6M10.5 3.5v3M5.5 9.5v3",
  close: "M4 4l8 8M12 4l-8 8",
};

/**
 * Make an element.
 *
 * `class` and plain attributes are set as attributes, `text` as text, functions as listeners, `true` as an empty
 * attribute; `false`, `null` and `undefined` leave the attribute out. There is no way to pass markup.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} [attributes]
 * @param {...(Node | string | null | undefined)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (name === "text") made.textContent = String(value ?? "");
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, String(value));
  }
  for (const child of children) if (child !== null && child !== undefined) made.append(child);
  return made;
}

/**
 * @param {string} name
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "chatanywhere-icon");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/**
 * Make a button that shows an icon and is called by a word.
 *
 * @param {string} name of the icon
 * @param {string} label
 * @param {(event: MouseEvent) => void} click
 * @param {Record<string, string | number | boolean>} [attributes]
 */
export function iconButton(name, label, click, attributes = {}) {
  return element(
    "button",
    { type: "button", class: "chatanywhere-icon-button", "aria-label": label, title: label, click, ...attributes },
    icon(name),
  );
}

/**
 * @typedef {object} MenuItem
 * @property {string} label
 * @property {string} [detail] shown smaller, behind the label
 * @property {boolean} [checked] makes it a choice in a group
 * @property {boolean} [apart] whether a line stands above it
 * @property {() => void} choose
 */

/**
 * Open a menu below `anchor`: arrows move, Enter chooses, Escape closes, letters filter where `search` is given.
 *
 * @param {HTMLElement} anchor
 * @param {string} label
 * @param {MenuItem[]} items
 * @param {{search?: string, empty?: string, again?: number, lookup?: (words: string) => Promise<MenuItem[]>}} [options]
 *   `search`: the label of a search field above the items; `empty`: what stands where there are none;
 *   `lookup`: who finds the items for what was typed, at first for nothing, instead of looking into their labels; `again`: after so many
 *   milliseconds once more, unless an item has been moved to
 * @returns {() => void} closes it
 */
export function openMenu(anchor, label, items, options = {}) {
  const host = /** @type {HTMLElement} */ (anchor.closest(".chatanywhere-root"));
  host.querySelector(".chatanywhere-menu")?.dispatchEvent(new Event("dismiss"));
  const list = element("div", { class: "chatanywhere-menu-items", role: "menu", "aria-label": label });
  const field = options.search
    ? element("input", { type: "search", class: "chatanywhere-field", "aria-label": options.search, placeholder: options.search })
    : null;
  const menu = element("div", { class: "chatanywhere-menu" }, field, list);
  /** @type {HTMLButtonElement[]} */
  let buttons = [];

  const close = () => {
    document.removeEventListener("pointerdown", outside, true);
    const hadFocus = menu.contains(document.activeElement);
    menu.remove();
    anchor.setAttribute("aria-expanded", "false");
    if (hadFocus) anchor.focus();
  };
  /** @param {PointerEvent} event */
  const outside = (event) => {
    if (!menu.contains(/** @type {Node} */ (event.target))) close();
  };
  let asked = 0;
  /** @param {MenuItem[]} shown */
  const fill = (shown) => {
    buttons = shown.map((item) =>
      element(
        "button",
        {
          type: "button",
          role: item.checked === undefined ? "menuitem" : "menuitemradio",
          "aria-checked": item.checked === undefined ? null : String(item.checked),
          tabindex: -1,
          class: `chatanywhere-menu-item${item.apart ? " chatanywhere-menu-apart" : ""}`,
          click: () => {
            close();
            item.choose();
          },
        },
        element("span", { text: item.label }),
        item.detail ? element("span", { class: "chatanywhere-menu-detail", text: item.detail }) : null,
      ),
    );
    list.replaceChildren(...buttons);
    if (!buttons.length && options.empty && asked) {
      list.append(element("div", { class: "chatanywhere-menu-empty", role: "menuitem", "aria-disabled": "true", text: options.empty }));
    }
  };
  const filter = async () => {
    const words = (field?.value ?? "").trim();
    asked += 1;
    const mine = asked;
    const low = words.toLowerCase();
    const found = options.lookup
      ? await options.lookup(words)
      : items.filter((item) => `${item.label} ${item.detail ?? ""}`.toLowerCase().includes(low));
    if (mine === asked) fill(found);
  };
  field?.addEventListener("input", () => void filter());
  if (options.again) {
    setTimeout(() => {
      if (menu.isConnected && document.activeElement === field) void filter();
    }, options.again);
  }
  menu.addEventListener("dismiss", close);
  menu.addEventListener("keydown", (event) => {
    const at = buttons.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    const moves = /** @type {Record<string, number>} */ ({ ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 });
    if (event.key === "Escape" || event.key === "Tab") {
      close();
    } else if (event.key === "Enter" && document.activeElement === field) {
      void filter().then(() => buttons[0]?.click()); // of what is typed, also if that has not been looked up yet
    } else if (event.key in moves && !(document.activeElement === field && (event.key === "Home" || event.key === "End"))) {
      buttons.at(buttons.length ? moves[event.key] % buttons.length : 0)?.focus();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  });

  fill(items);
  host.append(menu);
  place(menu, anchor, host);
  anchor.setAttribute("aria-expanded", "true");
  document.addEventListener("pointerdown", outside, true);
  (field ?? buttons[0])?.focus();
  if (options.lookup) void filter();
  return close;
}

/**
 * @param {HTMLElement} box
 * @param {HTMLElement} anchor
 * @param {HTMLElement} host
 */
function place(box, anchor, host) {
  const around = host.getBoundingClientRect();
  const at = anchor.getBoundingClientRect();
  const below = around.bottom - at.bottom;
  const above = at.top - around.top;
  if (below >= Math.min(Math.max(box.offsetHeight, LIKELY_HEIGHT), above)) box.style.top = `${at.bottom - around.top + 2}px`;
  else box.style.bottom = `${around.bottom - at.top + 2}px`;
  box.style.maxHeight = `${Math.max(120, Math.max(below, above) - 8)}px`;
  const left = Math.min(at.left - around.left, around.width - box.offsetWidth - 4);
  box.style.left = `${Math.max(4, left)}px`;
}
