// A digit drawn by hand, as the data set would have it: strokes -> grey pixels, fitted into a box, centred by mass.
"use strict";
const Drawing = (() => {
  const PEN = 0.085; // of the canvas's side: about 2.4 of 28 pixels

  // onChange(x) with the pixels [H * W] in [0, 1] after every stroke, onChange(null) when cleared
  function pad(canvas, [, height, width], {box, centred, binary}, onChange) {
    const pen = canvas.getContext("2d", {willReadFrequently: true}),
      side = canvas.width;
    let strokes = [],
      drawing = false;

    const place = (event) => {
      const area = canvas.getBoundingClientRect();
      return [((event.clientX - area.left) / area.width) * side, ((event.clientY - area.top) / area.height) * side];
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      drawing = true;
      strokes.push([place(event)]);
      paint();
      event.preventDefault();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!drawing) return;
      for (const each of event.getCoalescedEvents?.() || [event]) strokes.at(-1).push(place(each));
      paint();
    });
    for (const name of ["pointerup", "pointercancel"])
      canvas.addEventListener(name, () => {
        drawing = false;
      });

    function paint() {
      pen.fillStyle = "#000";
      pen.fillRect(0, 0, side, side);
      pen.strokeStyle = pen.fillStyle = "#fff";
      pen.lineWidth = PEN * side;
      pen.lineCap = pen.lineJoin = "round";
      for (const stroke of strokes) {
        pen.beginPath();
        pen.moveTo(...stroke[0]);
        if (stroke.length === 1) pen.lineTo(stroke[0][0] + 0.1, stroke[0][1]);
        for (let i = 1; i < stroke.length; i++) {
          // through the midpoints: smooth
          const [x, y] = stroke[i],
            [a, b] = stroke[i - 1];
          pen.quadraticCurveTo(a, b, (a + x) / 2, (b + y) / 2);
        }
        pen.lineTo(...stroke.at(-1));
        pen.stroke();
      }
      if (!strokes.length) {
        pen.fillStyle = "#9a9a9a";
        pen.font = `${side * 0.06}px system-ui, sans-serif`;
        pen.textAlign = "center";
        pen.fillText(Page.say("pad_hint"), side / 2, side / 2);
      }
      onChange(strokes.length ? pixels() : null);
    }

    function pixels() {
      const raw = pen.getImageData(0, 0, side, side).data;
      let left = side,
        right = 0,
        top = side,
        bottom = 0,
        mass = 0,
        mx = 0,
        my = 0;
      for (let y = 0; y < side; y++)
        for (let x = 0; x < side; x++) {
          const v = raw[4 * (y * side + x)];
          if (v < 8) continue;
          left = Math.min(left, x);
          right = Math.max(right, x + 1);
          top = Math.min(top, y);
          bottom = Math.max(bottom, y + 1);
          mass += v;
          mx += v * (x + 0.5);
          my += v * (y + 0.5);
        }
      const found = new Float32Array(width * height);
      if (!mass) return found;
      const cell = centred ? Math.max(right - left, bottom - top, side * 0.25) / box : side / Math.min(width, height);
      const [cx, cy] = centred ? [mx / mass, my / mass] : [side / 2, side / 2];
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++) {
          const value = average(raw, cx + (x - width / 2) * cell, cy + (y - height / 2) * cell, cell);
          found[y * width + x] = binary ? Number(value > 0.5) : Math.min(1, 1.15 * value);
        }
      return found;
    }

    // The mean grey of a square cell of the canvas; black outside it.
    function average(raw, x0, y0, cell) {
      const steps = Math.max(2, Math.round(cell / 2));
      let sum = 0;
      for (let j = 0; j < steps; j++)
        for (let i = 0; i < steps; i++) {
          const x = Math.floor(x0 + ((i + 0.5) / steps) * cell),
            y = Math.floor(y0 + ((j + 0.5) / steps) * cell);
          if (x >= 0 && y >= 0 && x < side && y < side) sum += raw[4 * (y * side + x)];
        }
      return sum / (255 * steps * steps);
    }

    const clear = () => {
      strokes = [];
      paint();
    };
    Page.onChange(() => strokes.length || paint());
    clear();
    return {clear};
  }
  return {pad};
})();
