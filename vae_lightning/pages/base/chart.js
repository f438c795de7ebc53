// Small SVG charts: lines with a band, bars. Colours are CSS variables, words follow the language, arrow keys read the
// values. Every chart takes (container, spec); Page.say takes the texts.
"use strict";
const Chart = (() => {
  const NS = "http://www.w3.org/2000/svg";

  function svg(tag, attributes = {}, ...children) {
    const made = document.createElementNS(NS, tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value);
    }
    made.append(...children.filter((each) => each !== null && each !== undefined));
    return made;
  }

  // A linear map of [low, high] onto [from, to].
  function scale([low, high], [from, to]) {
    const width = high - low || 1;
    const map = (value) => from + ((value - low) / width) * (to - from);
    map.invert = (pixel) => low + ((pixel - from) / (to - from || 1)) * width;
    map.domain = [low, high];
    return map;
  }

  // About `count` round numbers within [low, high]; whole ones where `whole`.
  function ticks(low, high, count = 5, whole = false) {
    if (!(high > low)) return [low];
    const raw = (high - low) / Math.max(1, count),
      power = 10 ** Math.floor(Math.log10(raw));
    let step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw * 0.7);
    if (whole) step = Math.max(1, Math.round(step));
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++)
      found.push(+(k * step).toPrecision(12));
    return found;
  }

  function tickText(value, all) {
    const step = all.length > 1 ? Math.abs(all[1] - all[0]) : Math.abs(value) || 1;
    const digits = Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9)));
    return Page.number(value, digits);
  }

  // The smallest and largest finite value with some air; `zero` takes 0 in.
  function extent(values, {air = 0.05, zero = false} = {}) {
    const finite = values.filter((each) => Number.isFinite(each));
    if (!finite.length) return [0, 1];
    let low = Math.min(...finite),
      high = Math.max(...finite);
    if (zero) {
      low = Math.min(0, low);
      high = Math.max(0, high);
    }
    const pad = (high - low || Math.abs(high) || 1) * air;
    return [zero && low === 0 ? 0 : low - pad, zero && high === 0 ? 0 : high + pad];
  }

  // The frame all charts share: a title, an SVG that is redrawn for its width, a legend and a line that reads values.
  function frame(container, draw) {
    container.classList.add("chart");
    const title = Page.element("p", {class: "chart-title"}),
      holder = Page.element("div");
    const legend = Page.element("div", {class: "legend"}),
      reading = Page.element("p", {class: "reading", "aria-live": "polite"});
    container.replaceChildren(title, holder, legend, reading);
    const state = {title, holder, legend, reading, width: 0};
    const redraw = () => {
      state.width = Math.max(240, Math.round(container.clientWidth || 600));
      draw(state);
    };
    new ResizeObserver(() => {
      if (Math.abs(container.clientWidth - state.width) > 1) redraw();
    }).observe(container);
    Page.onChange(redraw);
    state.redraw = redraw;
    redraw();
    return state;
  }

  function canvas(state, spec, height) {
    const name = Page.say(spec.label || spec.title);
    const drawn = svg(
      "svg",
      {
        viewBox: `0 0 ${state.width} ${height}`,
        role: "img",
        tabindex: 0,
        "aria-label": `${name} · ${Page.say("chart_keys")}`,
      },
      svg("title", {}, name),
    );
    const focused = state.holder.contains(document.activeElement);
    state.holder.replaceChildren(drawn);
    if (focused) drawn.focus();
    state.title.textContent = Page.say(spec.title);
    state.title.hidden = !spec.title;
    return drawn;
  }

  function axes(drawn, box, x, y, spec) {
    const yTicks = spec.y?.ticks || ticks(...y.domain, Math.max(3, Math.round((box.bottom - box.top) / 45)));
    for (const each of yTicks) {
      drawn.append(svg("line", {class: "grid", x1: box.left, x2: box.right, y1: y(each), y2: y(each)}));
      drawn.append(svg("text", {x: box.left - 8, y: y(each) + 4, "text-anchor": "end"}, tickText(each, yTicks)));
    }
    if (x) {
      const xTicks =
        spec.x?.ticks || ticks(...x.domain, Math.max(3, Math.round((box.right - box.left) / 80)), spec.x?.whole);
      for (const each of xTicks) {
        drawn.append(svg("line", {class: "axis", x1: x(each), x2: x(each), y1: box.bottom, y2: box.bottom + 4}));
        drawn.append(svg("text", {x: x(each), y: box.bottom + 18, "text-anchor": "middle"}, tickText(each, xTicks)));
      }
    }
    drawn.append(svg("line", {class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom}));
    const middle = (box.left + box.right) / 2;
    if (spec.x?.label)
      drawn.append(svg("text", {x: middle, y: box.bottom + 35, "text-anchor": "middle"}, Page.say(spec.x.label)));
    if (spec.y?.label)
      drawn.append(svg("text", {x: box.left - 44, y: box.top - 10, "text-anchor": "start"}, Page.say(spec.y.label)));
  }

  const path = (points, x, y) => {
    let pen = "M",
      text = "";
    for (const [a, b] of points) {
      if (!Number.isFinite(b) || b === null) {
        pen = "M";
        continue;
      }
      text += `${pen}${x(a).toFixed(1)} ${y(b).toFixed(1)}`;
      pen = "L";
    }
    return text;
  };

  // spec: {title, height, x: {label, whole}, y: {label}, series: [{name, values: [[x, y]], colour, dashed}],
  //        band: {name, values, colour, label, outline: [[x, y]] where it changes between the values, steps: [[x, y]],
  //        says: x => text}}
  function line(container, spec) {
    const hidden = new Set();
    let at = null;
    const state = frame(container, draw);

    function draw(state) {
      const box = {left: 56, right: state.width - (spec.band ? 50 : 14), top: 26, bottom: spec.height - 44};
      const drawn = canvas(state, spec, spec.height);
      const shown = spec.series.filter((each) => !hidden.has(each.name));
      const xs = [
        ...new Set([
          ...spec.series.flatMap((each) => each.values.map(([a]) => a)),
          ...(spec.band?.values || []).map(([a]) => a),
        ]),
      ].sort((a, b) => a - b);
      const begin = Math.min(xs[0] ?? 0, spec.band?.outline?.[0]?.[0] ?? Infinity);
      const x = scale(
        xs.at(-1) > begin ? [begin, xs.at(-1)] : [(xs[0] ?? 0) - 1, (xs[0] ?? 0) + 1],
        [box.left, box.right],
      );
      const y = scale(extent(shown.flatMap((each) => each.values.map(([, b]) => b))), [box.bottom, box.top]);
      if (spec.band) band(drawn, box, x, spec.band);
      axes(drawn, box, x, y, spec);
      for (const each of shown) {
        drawn.append(
          svg("path", {
            class: "plain",
            d: path(each.values, x, y),
            stroke: each.colour,
            "stroke-width": 2,
            "stroke-dasharray": each.dashed ? "5 4" : null,
          }),
        );
        if (each.values.length < 3)
          each.values.forEach(
            ([a, b]) =>
              Number.isFinite(b) &&
              drawn.append(
                svg("circle", {
                  cx: x(a),
                  cy: y(b),
                  r: each.dashed ? 4.5 : 3,
                  fill: each.dashed ? "none" : each.colour,
                  stroke: each.colour,
                  "stroke-width": 1.5,
                }),
              ),
          );
      }
      const cursor = svg("g", {}),
        hit = svg("rect", {
          class: "hit",
          x: box.left,
          y: box.top,
          width: Math.max(0, box.right - box.left),
          height: box.bottom - box.top,
        });
      drawn.append(cursor, hit);
      const read = (index) => {
        at = index;
        cursor.replaceChildren();
        if (index === null) {
          legend(null);
          return;
        }
        const here = xs[index];
        cursor.append(svg("line", {class: "guide", x1: x(here), x2: x(here), y1: box.top, y2: box.bottom}));
        for (const each of shown) {
          const value = each.values.find(([a]) => a === here)?.[1];
          if (Number.isFinite(value))
            cursor.append(svg("circle", {cx: x(here), cy: y(value), r: 3.5, fill: each.colour}));
        }
        legend(here);
      };
      const nearest = (event) => {
        const area = drawn.getBoundingClientRect(),
          value = x.invert(((event.clientX - area.left) / area.width) * state.width);
        return xs.reduce((best, each, i) => (Math.abs(each - value) < Math.abs(xs[best] - value) ? i : best), 0);
      };
      hit.addEventListener("pointermove", (event) => xs.length && read(nearest(event)));
      hit.addEventListener("pointerleave", () => read(null));
      drawn.addEventListener("blur", () => read(null));
      drawn.addEventListener("keydown", (event) => {
        const step = {ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9}[event.key];
        if (step === undefined || !xs.length) return;
        event.preventDefault();
        read(Math.max(0, Math.min(xs.length - 1, (at ?? (step < 0 ? xs.length : -1)) + step)));
      });
      legend(null);

      function legend(here) {
        const value = (values) => {
          const found = here === null ? undefined : values.find(([a]) => a === here)?.[1];
          return Number.isFinite(found) ? Page.number(found) : "";
        };
        const text = (each) => (each.says && here !== null ? each.says(here) : value(each.values));
        const items = [...spec.series, ...(spec.band ? [{...spec.band, area: true}] : [])];
        if (state.legend.childElementCount !== items.length || state.legend.dataset.lang !== Page.language()) {
          state.legend.dataset.lang = Page.language();
          state.legend.replaceChildren(
            ...items.map((each) =>
              Page.element(
                "button",
                {
                  type: "button",
                  onclick: () => {
                    if (each.area) return;
                    hidden.has(each.name) ? hidden.delete(each.name) : hidden.add(each.name);
                    state.redraw();
                  },
                },
                Page.element("span", {
                  class: `swatch ${each.area ? "area" : each.dashed ? "dashed" : ""}`,
                  style: `--swatch: ${each.colour}`,
                }),
                Page.element("span", {}, Page.say(each.name)),
                Page.element("b", {}),
              ),
            ),
          );
        }
        items.forEach((each, i) => {
          state.legend.children[i].setAttribute("aria-pressed", String(!hidden.has(each.name)));
          state.legend.children[i].lastChild.textContent = text(each);
        });
        state.reading.textContent =
          here === null
            ? ""
            : `${Page.say(spec.x.label)} ${here}: ${spec.series
                .filter((s) => value(s.values))
                .map((s) => `${Page.say(s.name)} ${value(s.values)}`)
                .join(", ")}`;
      }
    }
  }

  // A shaded area from 0, on an axis of its own at the right.
  function band(drawn, box, x, {values, outline, steps, colour, label}) {
    const all = [...(outline || values), ...(steps || [])];
    const top = Math.max(...all.map(([, b]) => b).filter(Number.isFinite), 1e-9);
    const y = scale([0, top * 1.25], [box.bottom, box.top]);
    const points = (outline || values).filter(([, b]) => Number.isFinite(b));
    if (!points.length) return;
    const line = points.map(([a, b]) => `L${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
    drawn.append(
      svg("path", {
        d: `M${x(points[0][0])} ${box.bottom}${line}L${x(points.at(-1)[0])} ${box.bottom}Z`,
        fill: colour,
        opacity: 0.16,
      }),
    );
    if (steps)
      drawn.append(
        svg("path", {
          class: "plain",
          d: path(steps, x, y),
          stroke: colour,
          "stroke-width": 1.6,
          "stroke-dasharray": "1 3",
        }),
      );
    const marks = ticks(0, top, 3);
    for (const each of marks) drawn.append(svg("text", {x: box.right + 8, y: y(each) + 4}, tickText(each, marks)));
    drawn.append(svg("text", {x: box.right + 46, y: box.top - 10, "text-anchor": "end"}, Page.say(label)));
  }

  // spec: {title, height, y: {label}, unit, bars: [{name, value, colour, note}]}
  function bars(container, spec) {
    let at = null;
    const state = frame(container, draw);

    function draw(state) {
      const n = spec.bars.length,
        drawn = canvas(state, spec, spec.height),
        box = {left: 56, right: state.width - 10, top: 26, bottom: spec.height - 44};
      const y = scale(extent(spec.bars.map((each) => each.value), {zero: true}), [box.bottom, box.top]);
      axes(drawn, box, null, y, spec);
      const step = (box.right - box.left) / Math.max(1, n),
        thick = Math.max(1, Math.min(step * 0.72, 46)),
        every = Math.max(1, Math.ceil((n * 30) / (box.right - box.left)));
      spec.bars.forEach((each, i) => {
        const centre = box.left + (i + 0.5) * step,
          from = y(0),
          to = y(each.value || 0),
          size = Math.max(1, Math.abs(to - from));
        const bar = svg(
          "rect",
          {
            x: centre - thick / 2,
            y: Math.min(from, to) - (size === 1 ? 1 : 0),
            width: thick,
            height: size,
            rx: Math.min(3, thick / 4),
            fill: each.colour,
            opacity: at === null || at === i ? 1 : 0.55,
          },
          svg("title", {}, reading(i)),
        );
        drawn.append(bar);
        if (i % every === 0)
          drawn.append(svg("text", {x: centre, y: box.bottom + 18, "text-anchor": "middle"}, Page.say(each.name)));
        const area = {x: centre - step / 2, y: box.top, width: step, height: box.bottom - box.top};
        const hit = svg("rect", {class: "hit", ...area}, svg("title", {}, reading(i)));
        hit.addEventListener("pointerenter", () => {
          state.reading.textContent = reading(i);
        });
        drawn.append(hit);
      });
      drawn.addEventListener("pointerleave", () => {
        state.reading.textContent = "";
      });
      drawn.addEventListener("keydown", (event) => {
        const move = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1}[event.key];
        if (move === undefined || !n) return;
        event.preventDefault();
        at = Math.max(0, Math.min(n - 1, (at ?? (move < 0 ? n : -1)) + move));
        state.redraw();
        state.reading.textContent = reading(at);
      });
      drawn.addEventListener("focusout", (event) => {
        if (at !== null && event.relatedTarget) {
          at = null;
          state.redraw();
        }
      });
    }
    function reading(i) {
      const each = spec.bars[i];
      const note = each.note ? ` · ${Page.say(each.note)}` : "";
      return `${Page.say(each.name)}: ${Page.number(each.value)} ${Page.say(spec.unit)}${note}`;
    }
  }

  return {svg, scale, ticks, tickText, extent, axes, path, frame, canvas, line, bars};
})();
