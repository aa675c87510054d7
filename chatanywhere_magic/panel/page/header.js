/** The line above the log: which conversation, which model, how full its memory is, and the settings. */

import { element, icon, iconButton, openMenu } from "./dom.js";
import { tokens } from "./format.js";

/** @import { App } from "./app.js" */
/** @import { MenuItem } from "./dom.js" */
/** @import { Header } from "./protocol.js" */

const LABELS = /** @type {Record<string, string>} */ ({
  system: "panel.system",
  temperature: "panel.temperature",
  max_tokens: "panel.max_tokens",
  budget: "panel.budget",
  agent: "panel.agent",
});
const EXPORTS = /** @type {const} */ ([
  ["md", "panel.export_markdown"],
  ["ipynb", "panel.export_notebook"],
  ["json", "panel.export_json"],
]);

export class HeaderView {
  /** @type {Header | null} */
  #header = null;

  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.titleText = element("span", { class: "chatanywhere-title-text" });
    this.title = element(
      "button",
      {
        type: "button",
        class: "chatanywhere-title",
        "aria-haspopup": "menu",
        "aria-expanded": "false",
        title: app.say("panel.conversations"),
        click: () => this.#openConversations(),
      },
      this.titleText,
      icon("open"),
    );
    this.modelText = element("span", { class: "chatanywhere-title-text" });
    this.model = element(
      "button",
      {
        type: "button",
        class: "chatanywhere-model",
        "aria-haspopup": "menu",
        "aria-expanded": "false",
        title: app.say("panel.change_model"),
        click: () => this.#openModels(),
      },
      this.modelText,
      icon("open"),
    );
    this.bar = element("span", { class: "chatanywhere-gauge-bar" });
    this.track = element("span", { class: "chatanywhere-gauge-track", "aria-hidden": "true" }, this.bar);
    this.amount = element("span", { class: "chatanywhere-gauge-text" });
    this.gauge = element(
      "div",
      { class: "chatanywhere-gauge", role: "meter", "aria-label": app.say("panel.context"), "aria-valuemin": 0, hidden: true },
      this.track,
      this.amount,
    );
    this.settingsButton = iconButton("settings", app.say("panel.settings"), () => this.#toggleSettings(), {
      "aria-expanded": "false",
    });
    this.more = iconButton("more", app.say("panel.more"), () => this.#openMore(), { "aria-haspopup": "menu" });
    this.settings = element("form", { class: "chatanywhere-settings", "aria-label": app.say("panel.settings"), hidden: true });
    this.settings.addEventListener("submit", (event) => event.preventDefault());
    this.root = element(
      "div",
      { class: "chatanywhere-header", role: "group", "aria-label": app.say("panel.header") },
      element(
        "div",
        { class: "chatanywhere-header-row" },
        this.title,
        this.model,
        this.gauge,
        this.settingsButton,
        this.more,
      ),
      this.settings,
    );
    this.#buildSettings();
  }

  /** @param {Header} header */
  show(header) {
    const { app } = this;
    this.#header = header;
    this.titleText.textContent = header.title || app.say("panel.untitled");
    this.modelText.textContent = [header.provider, header.model].filter(Boolean).join(" · ") || app.say("panel.no_model");
    this.#showGauge(header);
    this.#fillSettings(header);
  }

  /** @param {Header} header */
  #showGauge(header) {
    const { app } = this;
    const used = tokens(header.used, app.language);
    const about = header.estimated ? `≈ ${used}` : used;
    const limit = header.limit === null ? "" : tokens(header.limit, app.language);
    const words = app.say(limit ? "panel.context_of" : "panel.context_used", { used: about, limit });
    const share = header.limit ? Math.min(1, header.used / header.limit) : 0;
    this.gauge.hidden = header.used === 0 && header.limit === null;
    this.amount.textContent = limit ? `${about} / ${limit}` : about;
    this.gauge.title = words;
    this.gauge.setAttribute("aria-valuetext", words);
    this.gauge.setAttribute("aria-valuenow", String(Math.min(header.used, header.limit ?? header.used)));
    this.gauge.setAttribute("aria-valuemax", String(header.limit ?? Math.max(1, header.used)));
    this.track.hidden = header.limit === null;
    this.bar.style.width = `${Math.round(share * 100)}%`;
    this.gauge.classList.toggle("chatanywhere-full", share > 0.9);
  }

  // --- conversations ------------------------------------------------------------------------------------------------

  #openConversations() {
    const { app } = this;
    /** @type {MenuItem[]} */
    const own = [
      { label: app.say("panel.new"), choose: () => void app.act("new", {}) },
      { label: app.say("panel.rename"), choose: () => this.#rename() },
    ];
    const lookup = async (/** @type {string} */ words) => {
      const answer = await app.ask("conversations", { search: words }, 5000);
      /** @type {{id: string, title: string, detail: string, open: boolean}[]} */
      const found = answer.ok ? answer.data : [];
      const items = found.map((each, at) => ({
        label: each.title || app.say("panel.untitled"),
        apart: !words && at === 0,
        detail: each.detail,
        checked: each.open,
        choose: () => void app.act("switch", { conversation: each.id }),
      }));
      return words ? items : [...own, ...items];
    };
    openMenu(this.title, app.say("panel.conversations"), own, {
      search: app.say("panel.search"),
      empty: app.say("panel.nothing_found"),
      lookup,
    });
  }

  #rename() {
    const { app } = this;
    const field = element("input", {
      class: "chatanywhere-field chatanywhere-rename",
      "aria-label": app.say("panel.rename"),
      maxlength: 200,
    });
    field.value = this.#header?.title ?? "";
    let open = true;
    const end = (/** @type {boolean} */ take) => {
      if (!open) return;
      open = false;
      if (take && field.value.trim() !== this.#header?.title) void app.act("rename", { title: field.value.trim() });
      const hadFocus = document.activeElement === field;
      field.replaceWith(this.title);
      if (hadFocus) this.title.focus();
    };
    field.addEventListener("keydown", (event) => {
      if (event.isComposing || event.keyCode === 229) return;
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      end(event.key === "Enter");
    });
    field.addEventListener("blur", () => end(true));
    this.title.replaceWith(field);
    field.select();
    field.focus();
  }

  // --- models -------------------------------------------------------------------------------------------------------

  #openModels() {
    this.app.chooseModel(this.model, (provider, model) => void this.app.act("model", { provider, model }));
  }

  // --- settings -----------------------------------------------------------------------------------------------------

  #toggleSettings() {
    this.settings.hidden = !this.settings.hidden;
    this.settingsButton.setAttribute("aria-expanded", String(!this.settings.hidden));
  }

  #buildSettings() {
    const { app } = this;
    this.preset = element("select", { class: "chatanywhere-field", change: () => void this.#usePreset() });
    this.presets = element("label", { class: "chatanywhere-setting-preset", hidden: true }, app.say("panel.preset"), this.preset);
    this.settings.append(this.presets);
    this.fields = {
      system: element("textarea", { class: "chatanywhere-field", rows: 2, dir: "auto" }),
      temperature: element("input", { class: "chatanywhere-field", type: "number", min: 0, max: 2, step: 0.1 }),
      max_tokens: element("input", { class: "chatanywhere-field", type: "number", min: 1, step: 1, placeholder: "∞" }),
      budget: element("input", { class: "chatanywhere-field", type: "number", min: 1, step: 1, placeholder: app.say("panel.automatic") }),
      agent: element("input", { type: "checkbox" }),
    };
    for (const [name, field] of Object.entries(this.fields)) {
      field.addEventListener("change", () => void this.#change(name, field === this.fields?.agent ? String(Number(field.checked)) : field.value));
      this.settings.append(element("label", { class: `chatanywhere-setting-${name}` }, app.say(LABELS[name]), field));
    }
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  async #change(name, text) {
    const number = text === "" ? null : Number(text);
    const answer = await this.app.act("option", name === "system" ? { name, words: text } : { name, number });
    if (!answer.ok && this.#header) this.#fillSettings(this.#header);
  }

  async #usePreset() {
    const answer = this.preset?.value ? await this.app.act("preset", { name: this.preset.value }) : null;
    if (!answer?.ok && this.#header) this.#fillPresets(this.#header);
  }

  /** @param {Header} header */
  #fillPresets(header) {
    if (!this.preset || !this.presets) return;
    this.presets.hidden = header.presets.length === 0;
    const names = ["", ...header.presets];
    if (names.join("\n") !== [...this.preset.options].map((each) => each.value).join("\n")) {
      this.preset.replaceChildren(...names.map((name) => element("option", { value: name, text: name || "–" })));
    }
    this.preset.value = header.preset;
  }

  /** @param {Header} header */
  #fillSettings(header) {
    this.#fillPresets(header);
    for (const [name, field] of Object.entries(this.fields ?? {})) {
      const value = /** @type {Record<string, any>} */ (header)[name];
      if (field === this.fields?.agent) field.checked = header.agent;
      else if (document.activeElement !== field) field.value = value === null ? "" : String(value);
    }
  }

  // --- everything else ----------------------------------------------------------------------------------------------

  #openMore() {
    const { app } = this;
    const header = this.#header;
    const usage = header
      ? app.say("panel.usage", {
          prompt: tokens(header.prompt_tokens, app.language),
          completion: tokens(header.completion_tokens, app.language),
        })
      : "";
    openMenu(this.more, app.say("panel.more"), [
      { label: app.say("panel.undo"), choose: () => void app.act("undo", {}) },
      { label: app.say("panel.redo"), choose: () => void app.act("restore", {}) },
      { label: app.say("panel.clear"), choose: () => void app.clear() },
      ...EXPORTS.map(([format, key], at) => ({ label: app.say(key), apart: at === 0, choose: () => void app.export(format) })),
      { label: app.say("panel.usage_label"), detail: usage, apart: true, choose: () => app.tell(usage) },
    ]);
  }
}
