// The sweep's three charts. Every mark carries data-run, data-fold or data-folds, by which sweep.js lights it up;
// nothing is redrawn for that. `view` is {section, folds, run(id), visibleRuns(fold), colour(fold), along, ...}.
"use strict";
const SweepCharts = (() => {
  const {svg, scale, ticks, tickText, extent} = Chart;
  const finite = Number.isFinite;
  const spread = (fold, key) => fold.spread[key]?.mean ?? NaN;
  const value = (run, key) => run.numbers[key] ?? NaN;

  // The chart's frame, with arrow keys going from fold to fold in the order of `place`.
  function make(container, view, draw, place) {
    let at = -1;
    return Chart.frame(container, (state) => {
      draw(state, view);
      const drawn = state.holder.firstChild;
      drawn.setAttribute("role", "group"); // it holds marks and buttons of its own
      drawn.setAttribute("aria-label", `${drawn.querySelector("title").textContent} · ${Page.say("plane_keys")}`);
      drawn.addEventListener("keydown", (event) => {
        const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: 1, ArrowDown: -1}[event.key];
        const order = view
          .visibleFolds()
          .filter((fold) => finite(place(fold)))
          .sort((a, b) => place(a) - place(b));
        if (event.key === "Enter" && order[at]) view.select(view.visibleRuns(order[at])[0]);
        if (event.key === "Escape") view.hover(null);
        if (step === undefined || !order.length) return;
        event.preventDefault();
        at = Math.max(0, Math.min(order.length - 1, (at < 0 && step < 0 ? order.length : at) + step));
        view.hover(view.visibleRuns(order[at]));
      });
      drawn.addEventListener("blur", () => view.hover(null));
      view.drawn();
    });
  }

  // Domain of what is worth seeing: of completed runs, where there are any.
  function domain(view, key) {
    const runs = view.folds.flatMap((fold) => view.visibleRuns(fold)).map((id) => view.run(id));
    const done = runs.filter((run) => run.done && finite(value(run, key)));
    return extent(
      (done.length ? done : runs).map((run) => value(run, key)),
      {air: 0.1},
    );
  }

  function plane(container, view) {
    return make(
      container,
      view,
      (state) => {
        const height = Math.max(300, Math.min(420, state.width * 0.78)),
          box = {left: 58, right: state.width - 18, top: 26, bottom: height - 44};
        const drawn = Chart.canvas(state, {label: "plane"}, height);
        const x = scale(domain(view, "kl"), [box.left, box.right]),
          y = scale(domain(view, "recon"), [box.bottom, box.top]);
        const inside = frameOf(drawn, box, "plane", view),
          taken = takenBy(view, x, y);
        equalElbo(drawn, box, x, y, taken);
        Chart.axes(drawn, box, x, y, {x: {label: "rate"}, y: {label: "distortion"}});
        drawn.append(inside);
        for (const family of view.families()) {
          const points = family.folds.filter((fold) => finite(spread(fold, "kl")));
          if (view.along !== null && points.length > 1)
            inside.append(
              svg("path", {
                class: "mark family",
                d: Chart.path(
                  points.map((fold) => [spread(fold, "kl"), spread(fold, "recon")]),
                  x,
                  y,
                ),
                stroke: family.colour,
                "data-folds": points.map((fold) => fold.id).join(" "),
              }),
            );
        }
        const tags = [];
        for (const fold of view.visibleFolds()) dots(inside, fold, view, x, y, tags);
        for (const {fold, px, py, text} of tags) {
          const place = freePlace(px, py, 6.6 * text.length, box, taken);
          if (!place) continue;
          taken.push(place.area);
          inside.append(svg("text", {class: "mark tag", x: place.x, y: place.y, "data-fold": fold.id}, text));
        }
        legend(state, view);
      },
      (fold) => spread(fold, "kl"),
    );
  }

  // A fold's seeds as small dots, its mean as a large one; hollow where the run did not complete.
  function dots(inside, fold, view, x, y, tags) {
    const ids = view.visibleRuns(fold),
      colour = view.colour(fold),
      single = ids.length < 2;
    for (const id of ids) {
      const run = view.run(id);
      if (!finite(value(run, "kl")) || !finite(value(run, "recon"))) continue;
      inside.append(
        svg("circle", {
          class: `mark dot ${run.done ? "" : "hollow"}`,
          cx: x(value(run, "kl")),
          cy: y(value(run, "recon")),
          r: single ? 5.5 : 2.8,
          fill: run.done ? colour : null,
          color: colour,
          opacity: single ? 1 : 0.75,
          "data-run": id,
        }),
      );
    }
    if (!finite(spread(fold, "kl"))) return;
    const px = x(spread(fold, "kl")),
      py = y(spread(fold, "recon"));
    if (!single)
      inside.append(svg("circle", {class: "mark dot", cx: px, cy: py, r: 6, fill: colour, "data-fold": fold.id}));
    if (view.folds.length > 1)
      tags.push({fold, px, py, text: view.along === null ? fold.values.join(" ") : fold.values[view.along]});
  }

  const overlap = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];

  // The areas [left, top, right, bottom] of the dots, and of the lines between them, in short pieces.
  function takenBy(view, x, y) {
    const at = (kl, recon, r) => [x(kl) - r, y(recon) - r, x(kl) + r, y(recon) + r];
    const runs = view.visibleFolds().flatMap((fold) => view.visibleRuns(fold).map((id) => view.run(id)));
    const areas = runs.map((run) => at(value(run, "kl"), value(run, "recon"), 4));
    for (const family of view.families()) {
      const points = family.folds.map((fold) => [spread(fold, "kl"), spread(fold, "recon")]).filter(([a]) => finite(a));
      areas.push(...points.map(([kl, recon]) => at(kl, recon, 7)));
      if (view.along === null) continue;
      points.slice(1).forEach(([kl, recon], i) => {
        const [before, above] = points[i],
          pieces = Math.ceil(Math.hypot(x(kl) - x(before), y(recon) - y(above)) / 5);
        for (let k = 1; k < pieces; k++)
          areas.push(at(before + ((kl - before) * k) / pieces, above + ((recon - above) * k) / pieces, 2));
      });
    }
    return areas;
  }

  // Where a text of this width can stand beside a dot without lying on anything; null if there is no such place.
  function freePlace(px, py, wide, box, taken) {
    for (const [dx, dy] of [[9, -6], [9, 14], [-9 - wide, -6], [-9 - wide, 14], [-wide / 2, -11], [-wide / 2, 20]]) {
      const area = [px + dx - 1, py + dy - 10, px + dx + wide + 1, py + dy + 2];
      const inside = area[0] > box.left && area[2] < box.right + 8 && area[1] > box.top - 8 && area[3] < box.bottom;
      if (inside && !taken.some((other) => overlap(area, other))) return {x: px + dx, y: py + dy, area};
    }
    return null;
  }

  // recon + KL = constant: straight lines falling to the right.
  function equalElbo(drawn, box, x, y, taken) {
    const [x0, x1] = x.domain,
      [y0, y1] = y.domain;
    for (const total of ticks(x0 + y0, x1 + y1, Math.max(3, Math.min(6, (box.right - box.left) / 60)))) {
      const left = Math.max(x0, total - y1),
        right = Math.min(x1, total - y0);
      if (!(right > left)) continue;
      drawn.append(svg("line", {class: "iso", x1: x(left), y1: y(total - left), x2: x(right), y2: y(total - right)}));
      const text = Page.number(-total, Math.abs(x1 - x0 + y1 - y0) < 12 ? 1 : 0),
        half = 3.2 * text.length + 3;
      for (const share of (right - left) / (x1 - x0) > 0.2 ? [0.12, 0.3, 0.5, 0.7, 0.88] : []) {
        const at = left + (right - left) * share,
          area = [x(at) - half, y(total - at) - 8, x(at) + half, y(total - at) + 6];
        if (area[0] < box.left || area[2] > box.right || taken.some((other) => overlap(area, other))) continue;
        taken.push(area);
        drawn.append(svg("rect", {class: "tick-paper", x: area[0], y: area[1], width: 2 * half, height: 14}));
        drawn.append(svg("text", {class: "iso-label", x: x(at), y: y(total - at) + 3, "text-anchor": "middle"}, text));
        break;
      }
    }
  }

  // A group whose content is cut at the frame.
  function frameOf(drawn, box, name, view) {
    const id = `clip-${name}-${view.section.id}`;
    drawn.append(
      svg(
        "clipPath",
        {id},
        svg("rect", {
          x: box.left - 8,
          y: box.top - 8,
          width: Math.max(1, box.right - box.left + 16),
          height: box.bottom - box.top + 8,
        }),
      ),
    );
    return svg("g", {"clip-path": `url(#${id})`});
  }

  function legend(state, view) {
    const families = view.families();
    const shown = families.length > 1 && families.length <= 12 ? families : [];
    const items = shown.map((family) =>
      Page.element(
        "button",
        {type: "button", class: "mark", "data-folds": family.folds.map((fold) => fold.id).join(" ")},
        Page.element("span", {
          class: `swatch ${view.along === null ? "dot" : ""}`,
          style: `--swatch: ${family.colour}`,
        }),
        Page.element("span", {}, family.name),
      ),
    );
    state.legend.replaceChildren(...items);
    if (view.section.swept.length < 2 && view.along === null) return;
    const choice = Page.element(
      "select",
      {onchange: (event) => view.setAlong(event.target.value === "" ? null : Number(event.target.value))},
      ...view.section.swept.map((key, i) => Page.element("option", {value: i, selected: i === view.along}, key.name)),
      Page.element("option", {value: "", selected: view.along === null}, Page.say("no_lines")),
    );
    state.legend.append(Page.element("label", {class: "along no-print"}, Page.say("along"), choice));
  }

  // Where the curves are worth seeing: the first epochs of bad runs fall out below.
  function curveDomain(runs) {
    const all = runs
      .flatMap((run) => run.curve.map(([, elbo]) => elbo))
      .filter(finite)
      .sort((a, b) => a - b);
    if (!all.length) return [0, 1];
    const top = all.at(-1),
      tenth = all[Math.floor(all.length * 0.1)];
    const low = Math.max(all[0], tenth - 0.6 * (top - tenth)),
      air = (top - low || 1) * 0.06;
    return [low - air, top + air];
  }

  function curves(container, view) {
    return make(
      container,
      view,
      (state) => {
        const height = Math.max(300, Math.min(420, state.width * 0.78)),
          box = {left: 58, right: state.width - 18, top: 26, bottom: height - 44};
        const drawn = Chart.canvas(state, {label: "curves"}, height);
        const runs = view
          .visibleFolds()
          .flatMap((fold) => view.visibleRuns(fold))
          .map((id) => view.run(id));
        const epochs = runs.flatMap((run) => run.curve.map(([epoch]) => epoch)),
          last = Math.max(2, ...epochs);
        const x = scale([1, last], [box.left, box.right]),
          y = scale(curveDomain(runs), [box.bottom, box.top]);
        Chart.axes(drawn, box, x, y, {
          x: {label: "epoch", ticks: ticks(1, last, Math.max(2, Math.round((box.right - box.left) / 80)), true)},
          y: {label: "elbo_nats"},
        });
        const inside = frameOf(drawn, box, "curves", view),
          touch = [];
        drawn.append(inside);
        for (const run of runs) {
          if (!run.curve.length) continue;
          const d = Chart.path(run.curve, x, y),
            colour = view.colour(view.foldOf(run.id));
          if (run.curve.length === 1)
            inside.append(
              svg("circle", {
                class: "mark dot",
                cx: x(run.curve[0][0]),
                cy: y(run.curve[0][1]),
                r: 4,
                fill: colour,
                "data-run": run.id,
              }),
            );
          inside.append(
            svg("path", {
              class: "mark run-line",
              d,
              stroke: colour,
              "stroke-dasharray": run.done ? null : "4 3",
              "data-run": run.id,
            }),
          );
          touch.push(svg("path", {class: "touch", d, "data-run": run.id}));
        }
        inside.append(...touch);
      },
      (fold) => spread(fold, "elbo"),
    );
  }

  // One axis: where a fold or run stands on it, between 0 (bottom) and 1, and the ticks.
  function axis(view, index) {
    const key = view.section.swept[index];
    const order = key.values
      .slice()
      .sort((a, b) => (finite(Number(a)) && finite(Number(b)) ? Number(a) - Number(b) : 0));
    const at = (text) => (order.length > 1 ? order.indexOf(text) / (order.length - 1) : 0.5);
    const every = Math.ceil(order.length / 10);
    return {
      name: key.name,
      of: (fold) => at(fold.values[index]),
      ticks: order.filter((_, i) => i % every === 0).map((text) => [at(text), text]),
      key: index,
    };
  }

  function resultAxis(view, key, digits) {
    const inner = view
      .visibleFolds()
      .flatMap((fold) => view.visibleRuns(fold))
      .map((id) => view.run(id))
      .filter((run) => run.done)
      .map((run) => value(run, key))
      .filter(finite);
    const [from, to] = inner.length ? [Math.min(...inner), Math.max(...inner)] : domain(view, key);
    const at = (number) => (to > from ? (number - from) / (to - from) : 0.5);
    const marks = to > from ? [from, to] : [from];
    return {
      name: Page.say(key),
      of: (fold, run) => at(value(run, key)),
      ticks: marks.map((each) => [at(each), Page.number(each, digits)]),
      unit: digits === 0 ? "" : Page.say("nats"),
    };
  }

  function parallel(container, view) {
    container.style.setProperty("--axes", view.section.swept.length + 4);
    return make(
      container,
      view,
      (state) => {
        const height = 300,
          top = 46,
          bottom = height - 20;
        const drawn = Chart.canvas(state, {label: "parallel"}, height);
        const all = [
          ...view.section.swept.map((_, i) => axis(view, i)),
          resultAxis(view, "recon", 1),
          resultAxis(view, "kl", 1),
          resultAxis(view, "active_units", 0),
          resultAxis(view, "elbo", 1),
        ];
        const x = (i) => 54 + (i * (state.width - 108)) / Math.max(1, all.length - 1),
          y = (part) => bottom - part * (bottom - top);
        const lines = svg("g", {}),
          touch = [];
        drawn.append(
          svg(
            "clipPath",
            {id: `clip-parallel-${view.section.id}`},
            svg("rect", {x: 0, y: top - 6, width: state.width, height: bottom - top + 12}),
          ),
        );
        lines.setAttribute("clip-path", `url(#clip-parallel-${view.section.id})`);
        all.forEach((_, i) =>
          drawn.append(svg("line", {class: "parallel-axis", x1: x(i), x2: x(i), y1: top, y2: bottom})),
        );
        drawn.append(lines);
        for (const fold of view.visibleFolds())
          for (const id of view.visibleRuns(fold)) {
            const run = view.run(id),
              points = all.map((each, i) => [i, each.of(fold, run)]);
            if (points.filter(([, part]) => finite(part)).length < 2) continue;
            const d = Chart.path(points, x, y);
            lines.append(
              svg("path", {
                class: "mark run-line",
                d,
                stroke: view.colour(fold),
                "stroke-dasharray": run.done ? null : "4 3",
                "data-run": id,
              }),
            );
            touch.push(svg("path", {class: "touch", d, "data-run": id}));
          }
        lines.append(...touch);
        all.forEach((each, i) => labels(drawn, each, x(i), y, top, view));
      },
      (fold) => spread(fold, "elbo"),
    );
  }

  function labels(drawn, axis, x, y, top, view) {
    const short = axis.name.length > 15 ? `…${axis.name.slice(-14)}` : axis.name;
    drawn.append(
      svg("text", {class: "axis-name", x, y: top - 28, "text-anchor": "middle"}, short, svg("title", {}, axis.name)),
    );
    if (axis.unit) drawn.append(svg("text", {x, y: top - 14, "text-anchor": "middle"}, axis.unit));
    // A tick stands on its axis, on paper of its own: lines meet there, and none goes through the text.
    for (const [part, text] of axis.ticks) {
      const short = text.length > 9 ? `${text.slice(0, 8)}…` : text,
        wide = 6.9 * short.length + 10;
      const paper = svg("rect", {
        class: "tick-paper",
        x: x - wide / 2,
        y: y(part) - 9,
        width: wide,
        height: 18,
        rx: 5,
      });
      const shown = svg("text", {x, y: y(part) + 4, "text-anchor": "middle"}, short, svg("title", {}, text));
      if (axis.key === undefined) {
        drawn.append(paper, shown);
        continue;
      }
      const pressed = view.filters.values[axis.key].has(text);
      const tick = svg(
        "g",
        {
          class: "value-tick",
          role: "button",
          tabindex: 0,
          "aria-pressed": String(pressed),
          "aria-label": `${axis.name} ${text}`,
        },
        paper,
        shown,
      );
      const toggle = () => view.toggleValue(axis.key, text);
      tick.addEventListener("click", toggle);
      tick.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          event.stopPropagation();
          toggle();
        }
      });
      drawn.append(tick);
    }
  }

  return {plane, curves, parallel};
})();
