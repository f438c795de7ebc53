// The latent explorer: a plane, a point z, its picture; sliders, walks, drawings. z has `dims` units, the plane two.
"use strict";
const Explorer = (() => {
  const about = Page.data("explorer-data"),
    {dims, order, kl, active, shape, limit} = about;
  const found = (id) => document.getElementById(id);
  const [channels, height, width] = shape,
    size = channels * height * width,
    [black, white] = about.range;
  const isVector = channels * height === 1, // drawn as a curve
    own = about.undo && {mean: Net.floats(about.undo.mean, 32), scale: Net.floats(about.undo.scale, 32)},
    undone = own ? Plot.undo(own) : (x) => x,
    limits = own ? about.undo.range : about.range;
  const encode = about.encoder ? Net.encoder(about.encoder, shape, dims) : null;
  const points = about.points && {...about.points, mean: Net.floats(about.points.mean)};
  const z = new Float64Array(dims);
  let across = order[0],
    up = dims > 1 ? order[1] : -1,
    cdf = !about.points,
    grid = true,
    dots = true;
  let posterior = null; // {mean, log_var} of what was drawn or picked last
  const unitName = (unit) => `z${unit + 1}`;

  // --- the normal distribution ---------------------------------------------------------------------------------------
  const density = (x) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
  function phi(x) {
    // 1/2 + density(x) (x + x^3/3 + x^5/(3 5) + ...)
    if (Math.abs(x) > 7) return x > 0 ? 1 : 0;
    let sum = x,
      term = x;
    for (let i = 3; Math.abs(term) > 1e-17 * Math.abs(sum); i += 2) {
      term *= (x * x) / i;
      sum += term;
    }
    return 0.5 + density(x) * sum;
  }
  function inverse(p) {
    // by Newton's steps, of at most 1
    let x = 0;
    for (let i = 0; i < 60; i++) {
      const step = Math.max(-1, Math.min(1, (phi(x) - p) / density(x)));
      x -= step;
      if (Math.abs(step) < 1e-12) break;
    }
    return x;
  }
  const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  const logNormal = (at, mean, logVar) =>
    at.reduce((sum, each, j) => {
      const [m, v] = [mean(j), logVar(j)];
      return sum - 0.5 * (Math.log(2 * Math.PI) + v + (each - m) * (each - m) * Math.exp(-v));
    }, 0);
  // The prior: N(0, I), or a mixture of `components` Gaussians. One that is not exact stands for another prior.
  const mixture = about.prior && {
    components: about.prior.components,
    exact: about.prior.exact,
    mean: Net.floats(about.prior.mean),
    logVar: Net.floats(about.prior.log_var),
  };
  function logPz() {
    if (!mixture) return logNormal(z, () => 0, () => 0);
    const each = Array.from({length: mixture.components}, (_, k) =>
      logNormal(z, (j) => mixture.mean[k * dims + j], (j) => mixture.logVar[k * dims + j]),
    );
    const most = Math.max(...each);
    return most + Math.log(each.reduce((sum, value) => sum + Math.exp(value - most), 0) / each.length);
  }
  function priorDraw() {
    if (!mixture) return Array.from(z, normal);
    const first = Math.floor(Math.random() * mixture.components) * dims;
    return Array.from(z, (_, j) => mixture.mean[first + j] + Math.exp(mixture.logVar[first + j] / 2) * normal());
  }

  // --- decoding: by the network, or from pictures drawn beforehand --------------------------------------------------
  const network = about.decoder ? Net.decoder(about.decoder, dims, size) : null;
  const still = about.plane ? Beforehand.pictures(about, drawnBeforehand) : null;
  const decode = network || still.decode;
  function drawnBeforehand() {
    moved();
    strip();
  }

  // pixels [C, H, W] -> a canvas, 0 black and 1 white; a vector as a curve on black
  const SHEET = [300, 210],
    STAMP = [84, 84];
  function trace(canvas, values, [across, down]) {
    canvas.width = across;
    canvas.height = down;
    canvas.style.imageRendering = "auto";
    if (across !== down) canvas.style.aspectRatio = `${across} / ${down}`;
    Plot.draw(canvas.getContext("2d"), undone(values), [0, 0, across, down], limits, "#8ecbff", 2.5);
  }
  function show(canvas, pixels, area = STAMP) {
    if (isVector) return trace(canvas, pixels, area);
    canvas.width = width;
    canvas.height = height;
    const pen = canvas.getContext("2d"),
      image = pen.createImageData(width, height);
    for (let i = 0; i < height * width; i++) {
      for (let c = 0; c < 3; c++)
        image.data[4 * i + c] = (255 * (pixels[(channels > 1 ? c : 0) * height * width + i] - black)) / (white - black);
      image.data[4 * i + 3] = 255;
    }
    pen.putImageData(image, 0, 0);
  }

  // --- the plane -----------------------------------------------------------------------------------------------------
  const plane = found("plane"),
    pen = plane.getContext("2d");
  const FAR = 12; // sigmas of the prior: a point beyond is drawn at the edge, as a ring
  let reach = reached();
  // How far the plane goes: to the last test point of its two units.
  function reached() {
    let most = 3.4;
    for (let i = 0; points && i < points.n; i++)
      for (const unit of [across, up].filter((each) => each >= 0))
        most = Math.max(most, Math.abs(points.mean[i * dims + unit]) * 1.05);
    return points ? Math.min(FAR, most) : 3.6;
  }
  const toUnit = (value) => (cdf ? phi(value) : (value + reach) / (2 * reach));
  const fromUnit = (u) => (cdf ? inverse(Math.max(2e-4, Math.min(1 - 2e-4, u))) : (2 * u - 1) * reach);
  const pixel = (a, b) => [toUnit(a) * plane.width, (1 - (up >= 0 ? toUnit(b) : 0.5)) * plane.height];

  // The manifold, tile by tile while the page stays awake; ink on paper, so that points can lie on it.
  const tiles = {canvas: Page.element("canvas"), key: "", job: 0};
  function drawTiles() {
    const n = still && cdf ? about.plane.size : cdf ? 20 : 18,
      rest = Array.from(z, (value, unit) => (unit === across || unit === up ? 0 : value.toFixed(2))).join();
    const ink = Page.colour("--ink"),
      key = [n, cdf, reach, across, up, still ? "" : rest, ink].join("|");
    if (tiles.key === key || !grid || (still && !still.ready())) return;
    tiles.key = key;
    const job = ++tiles.job,
      canvas = tiles.canvas,
      at = still ? new Array(dims).fill(0) : Array.from(z);
    const [wide, high] = isVector ? [56, 56] : [width, height];
    canvas.width = n * wide;
    canvas.height = n * high;
    const brush = canvas.getContext("2d"),
      [r, g, b] = rgb(ink);
    let k = 0;
    (function some() {
      if (job !== tiles.job) return;
      const until = performance.now() + 12;
      while (k < n * n && performance.now() < until) {
        const column = k % n,
          row = Math.floor(k / n);
        at[across] = fromUnit((column + 0.5) / n);
        if (up >= 0) at[up] = fromUnit(1 - (row + 0.5) / n);
        const pixels = decode(at);
        if (isVector) {
          const box = [column * wide, row * high, wide, high];
          Plot.draw(brush, undone(pixels), box, limits, ink, 1.6);
          k++;
          continue;
        }
        const image = brush.createImageData(width, height);
        for (let i = 0; i < height * width; i++) {
          const value = Math.max(0, Math.min(1, (pixels[i] - black) / (white - black)));
          if (channels > 1)
            for (let c = 0; c < 3; c++)
              image.data[4 * i + c] = (255 * (pixels[c * height * width + i] - black)) / (white - black);
          else {
            image.data[4 * i] = r;
            image.data[4 * i + 1] = g;
            image.data[4 * i + 2] = b;
          }
          image.data[4 * i + 3] = channels > 1 ? 255 : 255 * value;
        }
        brush.putImageData(image, column * width, row * height);
        k++;
      }
      drawPlane();
      if (k < n * n) setTimeout(some, 0);
    })();
  }
  function rgb(text) {
    const scratch = Page.element("canvas", {width: 1, height: 1}).getContext("2d");
    scratch.fillStyle = text;
    scratch.fillRect(0, 0, 1, 1);
    return scratch.getImageData(0, 0, 1, 1).data;
  }

  function drawPlane() {
    const side = plane.width;
    if (!side) return;
    const dpr = side / plane.clientWidth;
    pen.clearRect(0, 0, side, side);
    pen.fillStyle = Page.colour("--paper");
    pen.fillRect(0, 0, side, side);
    if (grid && tiles.key) {
      pen.globalAlpha = dots && points ? 0.5 : 0.95;
      pen.imageSmoothingEnabled = true;
      pen.drawImage(tiles.canvas, 0, 0, side, side);
      pen.globalAlpha = 1;
    }
    drawAxes(side, dpr);
    writeTicks();
    if (dots && points) drawPoints(dpr);
    if (posterior) drawPosterior(dpr);
    const [x, y] = pixel(z[across], up >= 0 ? z[up] : 0);
    for (const [radius, colour, thick] of [
      [8, Page.colour("--paper"), 5],
      [8, Page.colour("--ink"), 2.2],
    ]) {
      pen.strokeStyle = colour;
      pen.lineWidth = thick * dpr;
      pen.beginPath();
      pen.arc(Math.max(0, Math.min(side, x)), Math.max(0, Math.min(side, y)), radius * dpr, 0, 7);
      pen.stroke();
    }
  }

  const tickValues = () => {
    const most = cdf ? 2 : Math.floor(reach),
      step = Math.ceil((26 * (2 * most + 1)) / (plane.clientWidth || 500));
    return Array.from({length: 2 * Math.floor(most / step) + 1}, (_, i) => (i - Math.floor(most / step)) * step);
  };
  function drawAxes(side, dpr) {
    pen.strokeStyle = Page.colour("--line");
    pen.lineWidth = dpr;
    pen.globalAlpha = grid ? 0.35 : 1;
    for (const value of tickValues()) {
      const at = toUnit(value) * side;
      pen.beginPath();
      pen.moveTo(at, 0);
      pen.lineTo(at, side);
      pen.moveTo(0, side - at);
      pen.lineTo(side, side - at);
      pen.stroke();
    }
    pen.globalAlpha = 1;
  }
  // The numbers stand beside the plane, so that none lies on a digit.
  let written = "";
  function writeTicks() {
    const key = [cdf, tickValues()].join();
    if (written === key) return;
    written = key;
    const tick = (value, edge, share) =>
      Page.element("span", {style: `${edge}: ${(100 * share).toFixed(2)}%`}, Page.number(value, 0));
    const ticks = (edge) => tickValues().map((value) => tick(value, edge, toUnit(value)));
    found("ticks-across").replaceChildren(...ticks("left"));
    if (up >= 0) found("ticks-up").replaceChildren(...ticks("bottom"));
  }

  function drawPoints(dpr) {
    const colours = Array.from({length: 10}, (_, i) => Page.colour(`--class${i}`)),
      plain = Page.colour("--accent");
    pen.globalAlpha = 0.85;
    pen.lineWidth = 1.5 * dpr;
    const radius = 2.6 * dpr,
      most = plane.width - radius - dpr,
      inside = (value) => Math.max(radius + dpr, Math.min(most, value));
    for (let i = 0; i < points.n; i++) {
      const [x, y] = pixel(points.mean[i * dims + across], up >= 0 ? points.mean[i * dims + up] : 0);
      pen.fillStyle = pen.strokeStyle = points.labels ? colours[points.labels[i] % 10] : plain;
      pen.beginPath();
      pen.arc(inside(x), inside(y), radius, 0, 7);
      if (Math.min(x, y) < 0 || Math.max(x, y) > plane.width) pen.stroke();
      else pen.fill();
    }
    pen.globalAlpha = 1;
  }

  function drawPosterior(dpr) {
    const sigma = (unit) => Math.exp(posterior.log_var[unit] / 2);
    for (const [times, alpha] of [
      [2, 0.14],
      [1, 0.26],
    ]) {
      pen.beginPath();
      for (let k = 0; k <= 64; k++) {
        const angle = (k / 64) * 2 * Math.PI;
        const a = posterior.mean[across] + times * sigma(across) * Math.cos(angle);
        const b = up >= 0 ? posterior.mean[up] + times * sigma(up) * Math.sin(angle) : 0.3 * Math.sin(angle);
        pen.lineTo(...pixel(a, b));
      }
      pen.globalAlpha = alpha;
      pen.fillStyle = Page.colour("--accent");
      pen.fill();
      pen.globalAlpha = 1;
      pen.strokeStyle = Page.colour("--accent");
      pen.lineWidth = 1.6 * dpr;
      pen.stroke();
    }
  }

  // --- the point moved -----------------------------------------------------------------------------------------------
  let spent = 0,
    decodings = 0,
    waiting = null;
  function timed(point) {
    const began = performance.now(),
      pixels = decode(point);
    spent += performance.now() - began;
    decodings++;
    if (decodings > 200) {
      spent /= 2;
      decodings /= 2;
    }
    return pixels;
  }
  function moved(fromSlider = false) {
    show(found("digit"), timed(z), SHEET);
    readOut();
    if (!fromSlider) sliders.forEach((each) => each.update());
    drawPlane();
    clearTimeout(waiting);
    waiting = setTimeout(drawTiles, tiles.key ? 160 : 0);
  }
  function readOut() {
    const two = (value) => Page.number(value, 2);
    found("where").textContent =
      dims <= 3
        ? `z = (${Array.from(z, two).join(", ")})`
        : `${unitName(across)} = ${two(z[across])}, ${unitName(up)} = ${two(z[up])}, |z| = ${two(Math.hypot(...z))}`;
    found("log-pz").parentElement.hidden = mixture ? !mixture.exact : false;
    found("log-pz").textContent = Page.say("nats_of", {value: Page.number(logPz(), 2)});
    found("cost").textContent = network
      ? Page.say("decoded_in", {ms: (spent / decodings).toFixed(spent / decodings < 0.1 ? 3 : 2)})
      : Page.say("looked_up", {n: still.count});
  }
  function go(point, keep = false) {
    if (!keep) forget();
    for (let unit = 0; unit < dims; unit++) z[unit] = point[unit];
    moved();
  }

  // --- sliders, most informative first -------------------------------------------------------------------------------
  const OPEN = 8,
    sliders = [];
  function slider(unit) {
    const row = Page.element("label", {class: `unit${active[unit] ? "" : " idle"}`}),
      value = Page.element("output");
    const range = Page.element("input", {type: "range", min: -limit, max: limit, step: 0.01, "data-unit": unit});
    const cost = Page.element("span", {class: "kl soft"});
    range.addEventListener("input", () => {
      forget();
      stopMorph();
      z[unit] = Number(range.value);
      update();
      moved(true);
    });
    const update = () => {
      range.value = z[unit];
      value.textContent = Page.number(z[unit], 2);
      cost.textContent = Page.say("slider_kl", {kl: Page.number(kl[unit], 2)});
      range.setAttribute("aria-label", Page.say("unit_slider", {unit: unit + 1, kl: Page.number(kl[unit], 2)}));
    };
    row.append(Page.element("span", {}, unitName(unit)), range, value, cost);
    sliders.push({update});
    update();
    return row;
  }
  if (found("sliders")) {
    const place = found("sliders"),
      rest = order.slice(OPEN);
    place.append(...order.slice(0, OPEN).map(slider));
    if (rest.length) {
      const summary = Page.element("summary", {class: "small"}),
        idle = rest.filter((unit) => !active[unit]).length;
      sliders.push({
        update: () => {
          summary.textContent = Page.say("more_units", {n: rest.length, idle});
        },
      });
      place.append(Page.element("details", {}, summary, ...rest.map(slider)));
    }
  }

  // --- buttons, keys, the pointer ------------------------------------------------------------------------------------
  function press(id, on) {
    found(id).setAttribute("aria-pressed", String(on));
  }
  function toggle(what) {
    if (what === "grid") grid = !grid;
    else if (what === "points") dots = !dots;
    else cdf = what === "cdf";
    press("toggle-grid", grid);
    press("toggle-points", dots && Boolean(points));
    press("axes-cdf", cdf);
    press("axes-z", !cdf);
    drawTiles();
    drawPlane();
  }
  found("toggle-grid").addEventListener("click", () => toggle("grid"));
  found("toggle-points").addEventListener("click", () => toggle("points"));
  found("toggle-points").disabled = !points;
  found("axes-cdf").addEventListener("click", () => toggle("cdf"));
  found("axes-z").addEventListener("click", () => toggle("z"));
  const sample = () => {
    stopMorph();
    go(still ? still.sample() : priorDraw());
  };
  found("morph").hidden = Boolean(still); // a walk through points of which there are no pictures
  found("sample").addEventListener("click", sample);
  found("morph").addEventListener("click", () => (morphing ? stopMorph() : morph()));
  found("origin").addEventListener("click", () => {
    stopMorph();
    go(new Array(dims).fill(0));
  });

  const clamp = (value) => Math.max(-FAR, Math.min(FAR, value));
  function step(dx, dy) {
    stopMorph();
    const next = still ? Array.from(z, (value, unit) => (unit === across || unit === up ? value : 0)) : Array.from(z);
    next[across] = clamp(next[across] + dx);
    if (up >= 0) next[up] = clamp(next[up] + dy);
    go(next);
  }
  const KEYS = {
    g: () => toggle("grid"),
    p: () => points && toggle("points"),
    s: sample,
    m: () => still || found("morph").click(),
    0: () => found("origin").click(),
  };
  found("explorer").addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    const far = event.shiftKey ? 0.5 : 0.1;
    const arrow = {ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, far], ArrowDown: [0, -far]}[event.key];
    if (arrow && event.target === plane) {
      event.preventDefault();
      step(...arrow);
    } else if (KEYS[event.key]) {
      event.preventDefault();
      KEYS[event.key]();
    }
  });
  const drag = (event) => {
    const area = plane.getBoundingClientRect(),
      next = still ? new Array(dims).fill(0) : Array.from(z);
    next[across] = fromUnit((event.clientX - area.left) / area.width);
    if (up >= 0) next[up] = fromUnit(1 - (event.clientY - area.top) / area.height);
    go(next);
  };
  let held = false;
  plane.addEventListener("pointerdown", (event) => {
    held = true;
    stopMorph();
    plane.setPointerCapture(event.pointerId);
    plane.focus();
    drag(event);
    event.preventDefault();
  });
  plane.addEventListener("pointermove", (event) => {
    if (held) drag(event);
  });
  for (const name of ["pointerup", "pointercancel"])
    plane.addEventListener(name, () => {
      held = false;
    });

  // A walk from draw to draw of the prior; one step a press for those who ask for less motion.
  let morphing = 0;
  function stopMorph() {
    cancelAnimationFrame(morphing);
    morphing = 0;
    press("morph", false);
  }
  function morph() {
    if (Page.reduced()) {
      go(priorDraw());
      return;
    }
    press("morph", true);
    let from = Array.from(z),
      to = priorDraw(),
      began = performance.now();
    const walk = (now) => {
      const t = Math.min(1, (now - began) / 1800),
        eased = t * t * (3 - 2 * t);
      go(from.map((value, unit) => value + eased * (to[unit] - value)));
      if (t === 1) {
        from = to;
        to = priorDraw();
        began = now;
      }
      morphing = requestAnimationFrame(walk);
    };
    morphing = requestAnimationFrame(walk);
  }

  // --- which units the plane shows, and the classes ------------------------------------------------------------------
  function chooser(place, key, value, change) {
    place.replaceChildren(Page.element("label", {}, `${Page.say(key)} `));
    if (dims <= 2 || about.plane) {
      place.append(unitName(value));
      return;
    }
    const select = Page.element(
      "select",
      {
        onchange: () => {
          change(Number(select.value));
          reach = reached();
          moved();
          explain();
        },
      },
      ...order.map((unit) => Page.element("option", {value: unit}, `${unitName(unit)} (${Page.number(kl[unit], 2)})`)),
    );
    select.value = value;
    place.firstChild.append(select);
  }
  function words() {
    chooser(found("axis-across"), "across", across, (unit) => {
      across = unit;
    });
    if (up >= 0)
      chooser(found("axis-up"), "up", up, (unit) => {
        up = unit;
      });
    const names = points && points.labels ? about.classes : [];
    found("classes").replaceChildren(
      ...names.map((name, i) =>
        Page.element("li", {}, Page.element("i", {style: `background: var(--class${i % 10})`}), Page.say(name)),
      ),
    );
  }

  // --- test images: pick two, walk between them ----------------------------------------------------------------------
  const ends = [null, null];
  let turn = 0;
  function pick(i) {
    stopMorph();
    ends[turn] = about.picks[i];
    turn = 1 - turn;
    arrive(about.picks[i]);
  }
  // The point at one of the two ends: the slider, the posterior and the pictures follow.
  function arrive(latest) {
    for (const [k, button] of [...found("picks").children].entries())
      button.classList.toggle("chosen", ends.includes(about.picks[k]));
    ends.forEach((end, k) => end && show(found(k ? "pick-to" : "pick-from"), Net.floats(end.x, about.bits)));
    posterior = latest;
    found("walk").value = latest === ends[1] ? 1 : 0;
    go(latest.mean, true);
    explain();
    strip();
  }
  const between = (t) => ends[0].mean.map((value, unit) => value + t * (ends[1].mean[unit] - value));
  function strip() {
    if (!ends[0] || !ends[1]) return;
    const canvas = found("strip"),
      n = 11,
      one = Page.element("canvas");
    const [wide, high] = isVector ? STAMP : [width, height];
    canvas.width = n * wide;
    canvas.height = high;
    for (let k = 0; k < n; k++) {
      show(one, decode(between(k / (n - 1))));
      canvas.getContext("2d").drawImage(one, k * wide, 0);
    }
  }
  if (found("picks")) {
    about.picks.forEach((each, i) => {
      const canvas = Page.element("canvas"),
        name = about.classes[each.label];
      show(canvas, Net.floats(each.x, about.bits));
      const say = () =>
        name
          ? Page.say("pick", {index: each.index + 1, name: Page.say(name)})
          : Page.say("pick_plain", {index: each.index + 1});
      const button = Page.element("button", {type: "button", onclick: () => pick(i)}, canvas);
      sliders.push({
        update: () => {
          button.setAttribute("aria-label", say());
          button.title = say();
        },
      });
      found("picks").append(button);
    });
    found("walk").addEventListener("input", () => {
      if (ends[0] && ends[1]) {
        stopMorph();
        go(between(Number(found("walk").value)));
      }
    });
  }

  // --- the posterior of what was drawn or picked ---------------------------------------------------------------------
  const MOST = 10;
  const chart = found("posterior")
    ? Chart.frame(found("posterior"), (state) => {
        const units = order.slice(0, MOST),
          row = dims > 4 ? 18 : 26,
          drawnHeight = units.length * row + 26;
        const drawn = Chart.canvas(state, {title: "posterior"}, drawnHeight);
        const x = Chart.scale([-reach, reach], [34, state.width - 6]);
        drawn.append(
          Chart.svg("rect", {x: x(-1), y: 0, width: x(1) - x(-1), height: units.length * row, fill: "var(--grid)"}),
        );
        for (const each of Chart.ticks(-reach, reach, 6, true))
          drawn.append(
            Chart.svg("text", {x: x(each), y: drawnHeight - 8, "text-anchor": "middle"}, Page.number(each, 0)),
          );
        units.forEach((unit, i) => {
          const y = (i + 0.5) * row;
          drawn.append(Chart.svg("text", {x: 28, y: y + 4, "text-anchor": "end"}, unitName(unit)));
          if (!posterior) return;
          const sigma = Math.exp(posterior.log_var[unit] / 2),
            mean = posterior.mean[unit],
            hold = (value) => x(Math.max(-reach, Math.min(reach, value)));
          const colour = active[unit] ? "var(--accent)" : "var(--idle)";
          drawn.append(
            Chart.svg("line", {
              x1: hold(mean - sigma),
              x2: hold(mean + sigma),
              y1: y,
              y2: y,
              stroke: colour,
              "stroke-width": 4,
              "stroke-linecap": "round",
              opacity: 0.5,
            }),
          );
          drawn.append(
            Chart.svg(
              "circle",
              {cx: hold(mean), cy: y, r: 4, fill: colour},
              Chart.svg("title", {}, `${unitName(unit)}: ${Page.number(mean, 2)} ± ${Page.number(sigma, 2)}`),
            ),
          );
        });
        state.reading.textContent = posterior
          ? about.closed_kl
            ? Page.say("posterior_of_kl", {kl: Page.number(klOf(posterior), 2)})
            : Page.say("posterior_open")
          : Page.say("posterior_none");
      })
    : null;
  function explain() {
    if (chart) chart.redraw();
  }
  function forget() {
    if (posterior) {
      posterior = null;
      explain();
    }
  }
  const klOf = ({mean, log_var}) =>
    mean.reduce((sum, m, j) => sum - 0.5 * (1 + log_var[j] - m * m - Math.exp(log_var[j])), 0);

  const pad = found("pad")
    ? Drawing.pad(found("pad"), shape, about.drawn_as, (x) => {
        const blank = new Float32Array(size).fill(black);
        show(found("seen"), x || blank);
        show(found("rebuilt"), blank);
        if (!x) return;
        stopMorph();
        posterior = encode(x);
        go(posterior.mean, true);
        show(found("rebuilt"), decode(z));
        explain();
      })
    : null;
  if (pad)
    found("clear").addEventListener("click", () => {
      pad.clear();
      forget();
      drawPlane();
    });

  // --- start ---------------------------------------------------------------------------------------------------------
  new ResizeObserver(() => {
    const side = Math.round(plane.clientWidth * (window.devicePixelRatio || 1));
    if (side && side !== plane.width) {
      plane.width = plane.height = side;
      drawPlane();
    }
  }).observe(plane);
  Page.onChange((what) => {
    words();
    sliders.forEach((each) => each.update());
    readOut();
    if (what === "theme") drawTiles();
    drawPlane();
  });
  words();
  toggle(cdf ? "cdf" : "z");
  for (let i = 0; i < 3 && network; i++) decode(z); // the first runs are slow: the browser has not compiled them yet
  if (about.picks && about.picks.length > 1) {
    [ends[0], ends[1]] = about.picks;
    arrive(ends[0]);
  }
  moved();
  return {
    decode: (point) => Array.from(decode(point)),
    encode: encode && ((x) => encode(Float32Array.from(x))),
    z: () => Array.from(z),
    go,
    posterior: () => posterior,
    reach: () => reach,
    phi,
    inverse,
  };
})();
