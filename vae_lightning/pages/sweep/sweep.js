// The sweep's page: one set of runs that are lit, whatever shows them; filters; sorting; two runs side by side.
"use strict";
(() => {
  const S = Page.data("sweep"),
    {element, say, number} = Page;
  const selected = []; // at most two runs: A and B
  let hovered = null,
    elementsOf = new Map(),
    litElements = new Set(),
    due = false;
  const COLOURS = ["var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)", "var(--c6)", "var(--c7)"];

  const foldOfRun = new Map(),
    sectionOfRun = new Map();
  for (const section of S.sections)
    for (const fold of section.folds)
      for (const id of fold.runs) {
        foldOfRun.set(id, fold);
        sectionOfRun.set(id, section);
      }
  const foldById = new Map(S.sections.flatMap((section) => section.folds.map((fold) => [fold.id, fold])));
  const views = S.sections.map(makeView);
  const viewOf = (id) => views.find((view) => view.section === sectionOfRun.get(id));

  // --- a section: what is shown of it, and in which colours ----------------------------------------------------------

  function makeView(section) {
    const root = document.getElementById(`section-${section.id}`);
    const numeric = (i) =>
      section.swept[i].values.filter((each) => each.trim() !== "" && Number.isFinite(Number(each))).length;
    const view = {
      section,
      root,
      folds: section.folds,
      charts: [],
      filters: {values: section.swept.map(() => new Set()), status: new Set(), text: ""},
      along: firstAlong(section, numeric),
      run: (id) => S.runs[id],
      foldOf: (id) => foldOfRun.get(id),
      visibleFolds: () => section.folds.filter((fold) => view.visibleRuns(fold).length),
      visibleRuns: (fold) => fold.runs.filter((id) => passes(view, fold, S.runs[id])),
      colour: (fold) => view.palette.get(fold.id),
      families: () => families(view),
      hover: (ids) => hover(ids),
      select: (id) => toggle(id),
      drawn: () => later(),
      setAlong: (index) => {
        view.along = index;
        paint(view);
        redraw(view);
      },
      toggleValue: (key, text) => {
        flip(view.filters.values[key], text);
        refilter(view);
      },
    };
    paint(view);
    root.classList.toggle("many", S.runs.length > 40);
    return view;
  }

  // beta where it was swept, else the key with the most numbers
  function firstAlong(section, numeric) {
    const candidates = section.swept.map((_, i) => i).filter((i) => numeric(i) > 1);
    const beta = candidates.find((i) => section.swept[i].name === "beta");
    return beta ?? candidates.sort((a, b) => numeric(b) - numeric(a))[0] ?? null;
  }

  // Folds that differ only in the key their line goes along.
  function families(view, all = false) {
    const found = new Map();
    for (const fold of all ? view.folds : view.visibleFolds()) {
      const rest = view.section.swept
        .map((key, i) => [key.name, fold.values[i], i])
        .filter(([, , i]) => i !== view.along);
      const name = rest.map(([key, text]) => `${key} ${text}`).join(" · ");
      if (!found.has(name)) found.set(name, {name: name || view.section.label, folds: []});
      found.get(name).folds.push(fold);
    }
    for (const family of found.values()) {
      if (view.along !== null) family.folds.sort((a, b) => Number(a.values[view.along]) - Number(b.values[view.along]));
      family.colour = view.palette?.get(family.folds[0].id);
    }
    return [...found.values()];
  }

  function paint(view) {
    view.palette = new Map();
    const groups = families(view, true),
      folds = groups.length === 1 && view.along !== null ? null : groups;
    (folds || groups).forEach((family, i) => {
      const colour =
        groups.length <= COLOURS.length ? COLOURS[i] : `hsl(${Math.round((i * 360) / groups.length)} 52% 52%)`;
      for (const fold of family.folds) view.palette.set(fold.id, colour);
    });
    for (const body of view.root.querySelectorAll("tbody.fold"))
      body.style.setProperty("--swatch", view.palette.get(Number(body.dataset.fold)));
  }

  // --- filters -----------------------------------------------------------------------------------------------------

  function passes(view, fold, run) {
    const {values, status, text} = view.filters;
    if (values.some((wanted, i) => wanted.size && !wanted.has(fold.values[i]))) return false;
    if (status.size && !status.has(run.status)) return false;
    if (!text) return true;
    const words = text.toLowerCase().split(/\s+/),
      known = haystack(view, fold, run);
    return words.every((word) => (word.includes("=") ? known.pairs.has(word) : known.text.includes(word)));
  }

  // What a run can be found by: any part of its texts, or key=value as a whole.
  const haystacks = new Map();
  function haystack(view, fold, run) {
    if (!haystacks.has(run.id)) {
      const pairs = [
        ...fold.values.map((each, i) => `${view.section.swept[i].name}=${each}`),
        `seed=${run.seed}`,
        ...run.command.split(" "),
      ].map((each) => each.toLowerCase());
      const text = [run.name, run.group, run.status, run.error, ...fold.values, ...pairs].join(" ").toLowerCase();
      haystacks.set(run.id, {pairs: new Set(pairs), text});
    }
    return haystacks.get(run.id);
  }

  const flip = (set, item) => (set.has(item) ? set.delete(item) : set.add(item));

  function refilter(view) {
    for (const each of view.root.querySelectorAll(".run-row, .shot"))
      each.classList.toggle("out", !passes(view, foldOfRun.get(Number(each.dataset.run)), S.runs[each.dataset.run]));
    const shown = new Set(view.visibleFolds().map((fold) => fold.id));
    for (const body of view.root.querySelectorAll("tbody.fold"))
      body.classList.toggle("out", !shown.has(Number(body.dataset.fold)));
    const first = new Set(view.visibleFolds().map((fold) => view.visibleRuns(fold)[0]));
    for (const shot of view.root.querySelectorAll(".shot"))
      shot.classList.toggle("other-seed", !first.has(Number(shot.dataset.run)));
    redraw(view);
    drawFilters(view);
  }

  function drawFilters(view) {
    const form = view.root.querySelector(".filters"),
      {filters, section} = view,
      at = document.activeElement?.dataset?.chip;
    const chips = (name, items, set, id) =>
      element(
        "fieldset",
        {},
        element("legend", {}, name),
        element(
          "div",
          {class: "chips"},
          ...items.map((item) =>
            element(
              "button",
              {
                type: "button",
                title: item,
                "aria-pressed": String(set.has(item)),
                "data-chip": `${id}/${item}`,
                onclick: () => {
                  flip(set, item);
                  refilter(view);
                },
              },
              item,
            ),
          ),
        ),
      );
    const parts = section.swept.map((key, i) =>
      key.values.length > 16 ? null : chips(key.name, key.values, filters.values[i], `key${i}`),
    );
    if (section.statuses.length > 1) parts.push(chips(say("status"), section.statuses, filters.status, "status"));
    const all = section.folds.flatMap((fold) => fold.runs).length,
      shown = section.folds.flatMap(view.visibleRuns).length;
    const active = filters.text || filters.status.size || filters.values.some((set) => set.size);
    const search =
      form.querySelector("input") ||
      element("input", {
        type: "search",
        oninput: (event) => {
          filters.text = event.target.value.trim();
          refilter(view);
        },
      });
    search.placeholder = say("search_hint");
    const label = search.parentElement || element("label", {}, element("span", {}), search);
    label.firstChild.textContent = say("search");
    const clear = active
      ? element(
          "button",
          {
            type: "button",
            class: "clear",
            "data-chip": "clear",
            onclick: () => {
              filters.values.forEach((set) => set.clear());
              filters.status.clear();
              filters.text = search.value = "";
              refilter(view);
            },
          },
          say("clear"),
        )
      : null;
    const end = element(
      "div",
      {class: "end"},
      element("output", {class: "shown"}, say("shown", {n: shown, all})),
      clear,
    );
    for (const child of [...form.children]) if (child !== label) child.remove();
    form.prepend(...parts.filter(Boolean));
    if (!label.parentElement) form.append(label);
    form.append(end);
    if (at) [...form.querySelectorAll("[data-chip]")].find((each) => each.dataset.chip === at)?.focus();
  }

  // --- lighting ----------------------------------------------------------------------------------------------------

  const idsOf = (mark) =>
    mark.dataset.run !== undefined
      ? [Number(mark.dataset.run)]
      : (mark.dataset.folds ?? mark.dataset.fold).split(" ").flatMap((id) => foldById.get(Number(id)).runs);

  // After charts were drawn, once: which elements show a run.
  function later() {
    if (due) return;
    due = true;
    queueMicrotask(() => {
      due = false;
      elementsOf = new Map();
      for (const mark of document.querySelectorAll(".mark"))
        for (const id of idsOf(mark)) {
          if (!elementsOf.has(id)) elementsOf.set(id, []);
          elementsOf.get(id).push(mark);
        }
      litElements = new Set(document.querySelectorAll(".mark.lit"));
      light();
    });
  }

  function light() {
    const ids = new Set([...(hovered || []), ...selected]),
      next = new Set([...ids].flatMap((id) => elementsOf.get(id) || []));
    for (const each of litElements) if (!next.has(each)) each.classList.remove("lit");
    for (const each of next) each.classList.add("lit");
    litElements = next;
    for (const view of views)
      view.root.classList.toggle(
        "lighting",
        [...ids].some((id) => sectionOfRun.get(id) === view.section),
      );
    tray();
  }

  function hover(ids) {
    const same =
      ids === hovered || (ids && hovered && ids.length === hovered.length && ids.every((id, i) => id === hovered[i]));
    if (same) return;
    hovered = ids;
    light();
  }

  const title = (id, brief = false) => {
    const fold = foldOfRun.get(id),
      run = S.runs[id];
    if (!fold) return run.name;
    const keys = sectionOfRun.get(id).swept.map((key, i) => `${key.name} ${fold.values[i]}`);
    const seed = run.seed === null ? [] : [say("seed_is", {seed: run.seed})];
    return [...keys, ...(brief ? [] : seed)].join(" · ") || run.name;
  };

  const bar = document.body.appendChild(element("div", {class: "tray no-print", hidden: true}));
  function tray() {
    bar.hidden = !hovered?.length && !selected.length;
    const parts = [];
    if (hovered?.length) {
      const fold = foldOfRun.get(hovered[0]),
        one = hovered.length === 1 ? S.runs[hovered[0]].numbers : null;
      const of = (key, digits) =>
        one
          ? number(one[key], digits)
          : fold && hovered.every((id) => foldOfRun.get(id) === fold)
            ? number(fold.spread[key]?.mean, digits)
            : "";
      const same = fold && hovered.every((id) => foldOfRun.get(id) === fold);
      parts.push(
        element(
          "b",
          {},
          hovered.length === 1
            ? title(hovered[0])
            : same
              ? `${title(hovered[0], true)} · n ${hovered.length}`
              : say("n_runs", {n: hovered.length}),
        ),
      );
      if (one || same)
        for (const [key, digits] of [
          ["elbo", 2],
          ["recon", 2],
          ["kl", 2],
          ["active_units", one ? 0 : 1],
        ])
          parts.push(element("span", {}, `${say(key)} ${of(key, digits)}`));
      if (one && !S.runs[hovered[0]].done) parts.push(element("span", {}, S.runs[hovered[0]].status));
    } else if (selected.length) {
      selected.forEach((id, i) =>
        parts.push(element("span", {class: "chosen"}, element("span", {class: "letter"}, "AB"[i]), title(id))),
      );
      if (selected.length === 2) parts.push(element("a", {href: "#compare"}, say("compare")));
      parts.push(
        element(
          "button",
          {
            type: "button",
            onclick: () => {
              selected.length = 0;
              chosen();
            },
          },
          say("unselect"),
        ),
      );
    }
    bar.replaceChildren(...parts);
  }

  // --- two runs ----------------------------------------------------------------------------------------------------

  function toggle(id) {
    if (id === undefined) return;
    const at = selected.indexOf(id);
    if (at >= 0) selected.splice(at, 1);
    else {
      selected.push(id);
      if (selected.length > 2) selected.shift();
    }
    chosen();
  }

  function chosen() {
    for (const each of document.querySelectorAll("[data-pick]")) {
      const pressed = selected.includes(Number(each.dataset.pick));
      each.setAttribute("aria-pressed", String(pressed));
      const ring = each.querySelector(".ring");
      if (ring) ring.textContent = pressed ? "●" : "○";
    }
    light();
    compare();
  }

  function compare() {
    const card = document.getElementById("compare");
    if (!card) return;
    const picker = (letter, i) =>
      element(
        "label",
        {},
        element("span", {}, say(i ? "second_run" : "first_run")),
        element(
          "select",
          {"data-picker": letter, onchange: (event) => choose(i, event.target.value)},
          element("option", {value: ""}, `\u2013 ${say("no_run")} \u2013`),
          ...S.sections.map((section) =>
            element(
              "optgroup",
              {label: section.label},
              ...section.folds
                .flatMap((fold) => fold.runs)
                .map((id) => element("option", {value: id, selected: selected[i] === id}, title(id))),
            ),
          ),
        ),
      );
    const focused = document.activeElement?.dataset?.picker;
    card.querySelector(".pickers").replaceChildren(picker("A", 0), picker("B", 1));
    if (focused) card.querySelector(`[data-picker="${focused}"]`)?.focus();
    card.querySelector(".compared").replaceChildren(...(selected.length === 2 ? side(...selected) : []));
    Page.hintScrolling();
  }

  function choose(i, text) {
    const id = text === "" ? undefined : Number(text),
      other = selected[1 - i];
    const pair = (i === 0 ? [id, other] : [other, id]).filter((each) => each !== undefined);
    selected.splice(0, 2, ...new Set(pair));
    chosen();
  }

  function side(a, b) {
    const parts = [],
      pictures = [a, b].map((id) => document.querySelector(`.shot[data-run="${id}"] img`));
    if (sectionOfRun.get(a) !== sectionOfRun.get(b))
      parts.push(element("p", {class: "note warn"}, say("other_setting")));
    if (pictures.some(Boolean))
      parts.push(
        element(
          "div",
          {class: "shots"},
          ...pictures.map((found, i) =>
            element(
              "figure",
              {class: "shot"},
              element(
                "span",
                {class: "pick"},
                found ? element("img", {src: found.src, alt: say("samples")}) : say("no_picture"),
              ),
              element("figcaption", {}, element("b", {}, "AB"[i]), element("span", {}, title([a, b][i]))),
            ),
          ),
        ),
      );
    parts.push(configTable(a, b), numberTable(a, b));
    return parts;
  }

  const table = (head, rows) =>
    element(
      "div",
      {class: "scroll"},
      element(
        "table",
        {},
        element(
          "thead",
          {},
          element(
            "tr",
            {},
            ...head.map((each, i) => element("th", {class: i && head.length > 3 ? "number" : null}, each)),
          ),
        ),
        element("tbody", {}, ...rows),
      ),
    );

  function configTable(a, b) {
    if (!S.own[a] || !S.own[b]) return element("p", {class: "note"}, say("no_config"));
    const ASIDE = /^(run_dir|name|group|resume|project_dir)$/,
      names = [sectionOfRun.get(a), sectionOfRun.get(b)].flatMap((section) =>
        section ? section.swept.map((key) => key.name) : [],
      );
    const swept = new Set(
      [...Object.keys(S.own[a]), ...Object.keys(S.own[b])].filter((key) =>
        names.some((name) => key === name || key.startsWith(`${name}.`)),
      ),
    );
    const keys = [...new Set([...Object.keys(S.own[a]), ...Object.keys(S.own[b])])].filter(
      (key) => S.own[a][key] !== S.own[b][key] && !ASIDE.test(key),
    );
    keys.sort((one, two) => swept.has(two) - swept.has(one));
    if (!keys.length) return element("p", {class: "note"}, say("no_difference"));
    return table(
      [say("key"), "A", "B"],
      keys.map((key) =>
        element(
          "tr",
          {class: swept.has(key) ? "swept" : null, "data-key": key},
          element("td", {class: "mono"}, key),
          ...[a, b].map((id) => element("td", {class: "value"}, S.own[id][key] ?? "–")),
        ),
      ),
    );
  }

  function numberTable(a, b) {
    const rows = [
      ["elbo", 2],
      ["recon", 2],
      ["kl", 2],
      ["active_units", 0],
      ["epochs", 0],
      ["seconds", 1],
    ].map(([key, digits]) => [
      say(key) + (key === "seconds" ? " [s]" : ""),
      S.runs[a].numbers[key],
      S.runs[b].numbers[key],
      digits,
    ]);
    const bounds = [a, b].map((id) => S.runs[id].nll);
    if (bounds[0] && bounds[1] && bounds[0].k === bounds[1].k && bounds[0].n === bounds[1].n)
      rows.splice(3, 0, [`${say("nll")}, ${say("bound", bounds[0])}`, bounds[0].value, bounds[1].value, 2]);
    const comparable = sectionOfRun.get(a) === sectionOfRun.get(b) && S.runs[a].split === S.runs[b].split;
    const signed = (value, digits) => (Number.isFinite(value) ? (value > 0 ? "+" : "") + number(value, digits) : "–");
    return table(
      [say("nats"), "A", "B", say("difference")],
      rows.map(([name, one, two, digits], i) =>
        element(
          "tr",
          {},
          element("td", {}, name),
          element("td", {class: "number"}, number(one, digits)),
          element("td", {class: "number"}, number(two, digits)),
          element(
            "td",
            {class: "number"},
            one === null || two === null || (!comparable && i < 3) ? "–" : signed(two - one, digits),
          ),
        ),
      ),
    );
  }

  // --- the table ---------------------------------------------------------------------------------------------------

  function sort(button) {
    const heads = [...button.closest("tr").children],
      head = button.closest("th"),
      column = Number(button.dataset.column);
    const down =
      head.getAttribute("aria-sort") === "none"
        ? head.classList.contains("number")
        : head.getAttribute("aria-sort") === "ascending";
    for (const each of heads)
      if (each.hasAttribute("aria-sort"))
        each.setAttribute("aria-sort", each === head ? (down ? "descending" : "ascending") : "none");
    const list = button.closest("table"),
      value = (body) => body.rows[0].cells[column].dataset.sort ?? "";
    const order = (one, two) => {
      const [a, b] = [value(one), value(two)],
        [x, y] = [Number(a), Number(b)];
      if (a === "" || b === "") return (a === "") - (b === "");
      const sign = down ? -1 : 1;
      return (
        sign *
        (Number.isFinite(x) && Number.isFinite(y)
          ? x - y
          : Number.isFinite(x)
            ? -1
            : Number.isFinite(y)
              ? 1
              : a.localeCompare(b))
      );
    };
    list.append(...[...list.tBodies].sort(order));
  }

  function open(body, wanted) {
    body.querySelector(".expand").setAttribute("aria-expanded", String(wanted));
    for (const row of body.querySelectorAll(".run-row")) row.hidden = !wanted;
  }

  // --- events ------------------------------------------------------------------------------------------------------

  const marked = (event) => event.target.closest?.("[data-run], [data-fold], [data-folds]");
  const over = (event) => {
    const mark = marked(event);
    hover(
      mark ? idsOf(mark).filter((id) => foldOfRun.has(id) && passes(viewOf(id), foldOfRun.get(id), S.runs[id])) : null,
    );
  };
  document.addEventListener("pointerover", (event) => event.pointerType !== "touch" && over(event));
  document.documentElement.addEventListener("pointerleave", () => hover(null));
  document.addEventListener("focusin", (event) => {
    if (!event.target.closest?.("svg, .tray")) over(event);
  });

  document.addEventListener("click", (event) => {
    const at = (selector) => event.target.closest?.(selector);
    if (at(".sort")) return sort(at(".sort"));
    if (at(".expand")) return open(at("tbody"), at(".expand").getAttribute("aria-expanded") !== "true");
    if (at(".open-all")) {
      const button = at(".open-all"),
        wanted = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(wanted));
      button.classList.toggle("done", wanted);
      for (const body of button.closest(".section").querySelectorAll("tbody.fold")) open(body, wanted);
      return;
    }
    if (at(".every-seed")) {
      const button = at(".every-seed"),
        wanted = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(wanted));
      button.classList.toggle("done", wanted);
      button.closest(".section").querySelector(".gallery").classList.toggle("every", wanted);
      return;
    }
    if (at("[data-tab]")) return tab(Number(at("[data-tab]").dataset.tab));
    if (at(".pick")) return at(".pick").dataset.pick !== undefined && toggle(Number(at(".pick").dataset.pick));
    if (at("a, button, summary, details, select, input")) return;
    const mark = marked(event);
    if (mark && mark.closest("svg, table.runs"))
      toggle(idsOf(mark).find((id) => passes(viewOf(id), foldOfRun.get(id), S.runs[id])));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      hovered = null;
      selected.length = 0;
      chosen();
    }
  });

  function tab(id, focus = false) {
    for (const button of document.querySelectorAll("[data-tab]")) {
      const on = Number(button.dataset.tab) === id;
      button.setAttribute("aria-selected", String(on));
      button.tabIndex = on ? 0 : -1;
      if (on && focus) button.focus();
    }
    for (const view of views) view.root.hidden = views.length > 1 && view.section.id !== id;
  }
  document.querySelector(".tabs")?.addEventListener("keydown", (event) => {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key],
      now = views.findIndex((view) => !view.root.hidden);
    if (step) tab(views[(now + step + views.length) % views.length].section.id, true);
  });

  function redraw(view) {
    view.charts.forEach((chart) => chart.redraw());
    later();
  }

  // --- the page ----------------------------------------------------------------------------------------------------

  if (views.length) tab(views[0].section.id);
  for (const view of views) {
    drawFilters(view);
    view.charts = ["plane", "curves", "parallel"].map((name) =>
      SweepCharts[name](view.root.querySelector(`.${name}`), view),
    );
  }
  Page.onChange(() => {
    views.forEach(drawFilters);
    compare();
    tray();
  });
  compare();
  later();
})();
