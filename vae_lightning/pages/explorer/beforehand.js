// Pictures drawn beforehand, for a network that the page cannot run: the plane, walks between test images, samples.
"use strict";
const Beforehand = (() => {
  // -> {decode(z): the picture of the nearest point, sample(): such a point of the prior, ready(), count}
  function pictures({plane, stills, dims, order, shape, range}, loaded) {
    const [channels, height, width] = shape,
      size = channels * height * width,
      [black, white] = range,
      isVector = channels * height === 1;
    const n = plane.size,
      z = Net.floats(stills.z, 32),
      sheets = {};
    let waiting = 2;
    const read = (name, source) => {
      const image = new Image();
      image.onload = () => {
        const scratch = Page.element("canvas", {width: image.width, height: image.height}),
          pen = scratch.getContext("2d");
        pen.drawImage(image, 0, 0);
        sheets[name] = pen.getImageData(0, 0, image.width, image.height);
        if (--waiting === 0) loaded();
      };
      image.src = source;
    };
    read("plane", plane.sheet);
    read("stills", stills.sheet);

    const nearest = (value) =>
      plane.axis.reduce((best, each, i) => (Math.abs(each - value) < Math.abs(plane.axis[best] - value) ? i : best), 0);

    // The sheet, column and row of the nearest point.
    function place(point) {
      const column = nearest(point[order[0]]),
        row = dims > 1 ? nearest(point[order[1]]) : n - 1;
      let least = 0,
        found = ["plane", n, column, n - 1 - row];
      for (let j = 0; j < dims; j++) {
        const there = j === order[0] ? plane.axis[column] : j === order[1] ? plane.axis[row] : 0;
        least += (point[j] - there) ** 2;
      }
      for (let k = 0; k < stills.n; k++) {
        let far = 0;
        for (let j = 0; j < dims && far < least; j++) far += (point[j] - z[k * dims + j]) ** 2;
        if (far < least) {
          least = far;
          found = ["stills", stills.columns, k % stills.columns, Math.floor(k / stills.columns)];
        }
      }
      return found;
    }

    function decode(point) {
      const values = new Float32Array(size).fill(black);
      if (waiting) return values;
      const [name, columns, column, row] = place(point),
        sheet = sheets[name],
        there = isVector ? sheet.width / columns : width; // of a long vector, some of its numbers
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++)
          for (let c = 0; c < channels; c++) {
            const from = column * there + Math.floor((x * there) / width);
            const at = 4 * ((row * height + y) * sheet.width + from) + Math.min(c, 2);
            values[(c * height + y) * width + x] = black + ((white - black) * sheet.data[at]) / 255;
          }
      return values;
    }

    function sample() {
      const k = stills.n - 1 - Math.floor(Math.random() * stills.samples);
      return Array.from({length: dims}, (_, j) => z[k * dims + j]);
    }
    return {decode, sample, ready: () => waiting === 0, count: n * n + stills.n};
  }
  return {pictures};
})();
