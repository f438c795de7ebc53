// Curves, bars and the epoch slider.
"use strict";
(() => {
  const found = (id) => document.getElementById(id);

  const rows = Page.data("curves-data") || [];
  // Beta within the epochs: epoch e lies between e - 1 and e. Rows of an older version know only its last step.
  const inside = rows.length && rows.every((row) => Number.isFinite(row.beta_first) && Number.isFinite(row.beta_mean));
  const ends = ({beta_first: first, beta: last, beta_mean: mean}) =>
    first === last && last === mean
      ? Page.number(last, 3)
      : Page.say("beta_within", {first: Page.number(first, 3), last: Page.number(last, 3), mean: Page.number(mean, 3)});
  const beta = {
    outline: rows.flatMap((row) => [[row.epoch - 1, row.beta_first], [row.epoch, row.beta]]),
    steps: rows.flatMap((row) => [[row.epoch - 1, row.beta_mean], [row.epoch, row.beta_mean], [row.epoch, null]]),
    says: (epoch) => {
      const row = rows.find((each) => each.epoch === epoch);
      return row ? ends(row) : "";
    },
  };
  const changes = inside && rows.some((row) => row.beta_first !== row.beta || row.beta_mean !== row.beta);
  const band = {
    name: "beta",
    label: "beta",
    colour: "var(--band)",
    values: rows.map((row) => [row.epoch, row.beta]),
    ...(changes ? beta : {}),
  };
  const series = (column, colour) =>
    [
      {name: "train", values: rows.map((row) => [row.epoch, row[column]]), colour},
      {name: "val", values: rows.map((row) => [row.epoch, row[`val_${column}`]]), colour, dashed: true},
    ].filter((each) => each.values.some(([, value]) => Number.isFinite(value)));
  for (const [column, colour] of [
    ["elbo", "var(--c1)"],
    ["recon", "var(--c2)"],
    ["kl", "var(--c3)"],
  ]) {
    const place = found(`curve-${column}`),
      lines = series(column, colour);
    if (place && lines.length)
      Chart.line(place, {
        title: `curve_${column}`,
        height: 250,
        x: {label: "epoch", whole: true},
        y: {label: "nats"},
        series: lines,
        band: rows.some((row) => Number.isFinite(row.beta)) ? band : null,
      });
  }

  const units = Page.data("units-data") || [];
  if (units.length)
    Chart.bars(found("units"), {
      title: "units_title",
      height: 250,
      unit: "nats",
      y: {label: "nats"},
      bars: units.map((unit) => ({
        name: unit.name,
        value: unit.value,
        colour: unit.active ? "var(--c3)" : "var(--idle)",
        note: unit.active ? null : "inactive",
      })),
    });

  const {epochs, frames} = Page.data("film-data") || {epochs: [], frames: {}},
    slider = found("epoch");
  if (!slider) return;
  const show = () => {
    const at = Number(slider.value),
      said = `${Page.say("epoch")} ${epochs[at]}`;
    found("epoch-now").textContent = said;
    slider.setAttribute("aria-valuetext", said);
    for (const [kind, pictures] of Object.entries(frames)) {
      const image = found(`film-${kind}`);
      const [source, notes] = pictures[at] || [null, ""];
      image.hidden = !source;
      if (source) image.src = source;
      image.classList.toggle("older", notes === null); // with its caption, on white
      found(`notes-${kind}`).textContent = notes || "";
      image.alt = `${Page.say(kind)}, ${said}`;
    }
  };
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    found("play").setAttribute("aria-pressed", "false");
  };
  found("play").addEventListener("click", () => {
    if (timer) return stop();
    if (Number(slider.value) === epochs.length - 1) slider.value = 0;
    show();
    found("play").setAttribute("aria-pressed", "true");
    timer = setInterval(
      () => {
        slider.value = Number(slider.value) + 1;
        show();
        if (Number(slider.value) === epochs.length - 1) stop();
      },
      Math.max(120, Math.min(500, 6000 / epochs.length)),
    );
  });
  slider.addEventListener("input", () => {
    if (timer) stop();
    show();
  });
  Page.onChange(show);
  show();
})();
