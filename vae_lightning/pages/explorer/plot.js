// Vectors as pictures: a curve of many numbers, bars of a few, inside a box of a canvas.
"use strict";
const Plot = (() => {
  const FEW = 24,
    PAD = 0.06; // of a box, between its edge and the curve

  // values [D] in the range [low, high] -> a curve or bars in the box [left, top, width, height]
  function draw(pen, values, [left, top, width, height], [low, high], colour, thick) {
    const span = high - low || 1,
      clipped = (value) => Math.max(low, Math.min(high, value));
    const up = (value) => top + height * (1 - PAD - (1 - 2 * PAD) * ((clipped(value) - low) / span));
    const across = (share) => left + width * (PAD + (1 - 2 * PAD) * share);
    pen.fillStyle = pen.strokeStyle = colour;
    if (low < 0 && high > 0) {
      pen.globalAlpha = 0.3;
      pen.fillRect(left, up(0), width, Math.max(1, thick / 3));
      pen.globalAlpha = 1;
    }
    if (values.length <= FEW) return bars(pen, values, up, across);
    pen.lineWidth = thick;
    pen.lineJoin = "round";
    pen.beginPath();
    values.forEach((value, i) => pen.lineTo(across(i / (values.length - 1)), up(value)));
    pen.stroke();
  }

  function bars(pen, values, up, across) {
    const n = values.length,
      zero = up(0);
    values.forEach((value, i) => {
      const start = across((i + 0.15) / n),
        end = up(value);
      pen.fillRect(start, Math.min(zero, end), across((i + 0.85) / n) - start, Math.max(1, Math.abs(zero - end)));
    });
  }

  // mean and scale of standardised vectors -> the way back to the data's own units
  const undo = ({mean, scale}) => (x) => x.map((value, i) => mean[i] + scale[i] * value);
  return {draw, undo};
})();
