// What both pages share: words, switches, small helpers. Text reaches the page through textContent only.
"use strict";
const Page = (() => {
  const root = document.documentElement;
  const listeners = [];
  const data = (id) => {
    const found = document.getElementById(id);
    return found ? JSON.parse(found.textContent) : null;
  };
  const strings = data("strings") || {};
  const keep = (key, value) => {
    try {
      localStorage.setItem(`vae_lightning.${key}`, value);
    } catch {
      /* file:// may refuse */
    }
  };

  const language = () => root.dataset.lang;
  const reduced = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
  const dark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  // "key" with {values}, [English, Japanese], or a text that is the same in both
  function say(what, values = {}) {
    if (what === null || what === undefined) return "";
    const pair = Array.isArray(what) ? what : strings[what];
    const text = pair ? pair[language() === "ja" ? 1 : 0] : String(what);
    return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
  }

  function setLanguage(value) {
    root.dataset.lang = root.lang = value;
    keep("lang", value);
    relabel();
    changed("language");
  }

  function setTheme(value) {
    root.dataset.theme = value;
    keep("theme", value);
    changed("theme");
  }

  function relabel() {
    for (const each of document.querySelectorAll("[data-label-en]")) {
      each.setAttribute("aria-label", language() === "ja" ? each.dataset.labelJa : each.dataset.labelEn);
    }
    for (const each of document.querySelectorAll("[data-set-lang]")) {
      each.setAttribute("aria-pressed", String(each.dataset.setLang === language()));
    }
  }

  // Calls back after the language or the theme was switched, with which of the two.
  const onChange = (listener) => listeners.push(listener);
  const changed = (what) => listeners.forEach((each) => each(what));

  // element("p", {class: "note"}, "text", child, ...)
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value !== null && value !== undefined && value !== false)
        made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children.filter((each) => each !== null && each !== undefined));
    return made;
  }

  // The value of a CSS variable now, as canvases need it.
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  // 12.3 -> "12.30", -0.00012 -> "−0.00012": about `digits` decimals, fewer for large numbers, with a real minus sign
  function number(value, digits = 2) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    const size = Math.abs(value);
    const text =
      size >= 1e6 || (size > 0 && size < 10 ** -digits / 2)
        ? value.toExponential(1)
        : value.toFixed(size >= 10000 ? 0 : digits);
    return text.replace("-", "−");
  }

  async function copy(text, button) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = element("textarea", {class: "off-screen"});
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1600);
  }

  document.addEventListener("click", (event) => {
    const set = event.target.closest("[data-set-lang]");
    if (set) setLanguage(set.dataset.setLang);
    if (event.target.closest("#theme")) setTheme(dark() ? "light" : "dark");
    const copying = event.target.closest("[data-copy]");
    if (copying) copy(document.getElementById(copying.dataset.copy).textContent, copying);
  });
  // A line above each table that is wider than its place says that it scrolls.
  function hintScrolling() {
    for (const place of document.querySelectorAll(".scroll")) {
      const before = place.previousElementSibling,
        hint = before?.classList.contains("scroll-hint") ? before : null,
        wider = place.scrollWidth > place.clientWidth + 1;
      if (wider && !hint)
        place.before(element("p", {class: "scroll-hint no-print", "aria-hidden": "true"}, say("scroll_hint")));
      else if (wider) hint.textContent = say("scroll_hint");
      else hint?.remove();
      if (wider && !place.hasAttribute("tabindex")) place.tabIndex = 0;
    }
  }
  const widths = new ResizeObserver(hintScrolling);
  for (const place of document.querySelectorAll(".scroll")) widths.observe(place);
  document.addEventListener("toggle", hintScrolling, true); // details
  onChange(hintScrolling);

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => changed("theme"));
  relabel();
  return {data, say, language, onChange, hintScrolling, element, colour, number, reduced};
})();
