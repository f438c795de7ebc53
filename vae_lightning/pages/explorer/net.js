// The run's networks in plain script: layers as the export wrote them, one vector in, one vector out. Row-major, C H W.
"use strict";
const Net = (() => {
  function bytes(text) {
    const raw = atob(text),
      found = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) found[i] = raw.charCodeAt(i);
    return found;
  }

  // base64 of little-endian fp16 or float32 -> Float32Array
  function floats(text, bits = 16) {
    const raw = bytes(text),
      view = new DataView(raw.buffer);
    const found = new Float32Array((raw.length * 8) / bits);
    for (let i = 0; i < found.length; i++)
      found[i] = bits === 16 ? half(view.getUint16(2 * i, true)) : view.getFloat32(4 * i, true);
    return found;
  }

  const POWERS = Array.from({length: 32}, (_, e) => 2 ** (e - 15));
  function half(h) {
    const exponent = (h >> 10) & 31,
      mantissa = h & 1023,
      sign = h & 0x8000 ? -1 : 1;
    if (exponent === 0) return sign * mantissa * 2 ** -24;
    if (exponent === 31) return mantissa ? NaN : sign * Infinity;
    return sign * (1 + mantissa / 1024) * POWERS[exponent];
  }

  function linear({inputs, outputs, weight, bias}) {
    return {
      shape: () => [outputs],
      run(x) {
        const y = new Float32Array(outputs);
        for (let o = 0, k = 0; o < outputs; o++) {
          let sum = bias ? bias[o] : 0;
          for (let i = 0; i < inputs; i++) sum += weight[k++] * x[i];
          y[o] = sum;
        }
        return y;
      },
    };
  }

  // The positions i of n with 0 <= i stride - padding + k < length, as [first, end]
  const reach = (n, k, stride, padding, length) => [
    Math.max(0, Math.ceil((padding - k) / stride)),
    Math.min(n, Math.floor((length - 1 + padding - k) / stride) + 1),
  ];

  // [channels, H, W] of the bias, to add to
  function biased(bias, channels, area) {
    const y = new Float64Array(channels * area);
    if (bias) for (let c = 0; c < channels; c++) y.fill(bias[c], c * area, (c + 1) * area);
    return y;
  }

  // y[oc, oy, ox] = b[oc] + sum over ic, ky, kx of w[oc, ic, ky, kx] x[ic, oy s - p + ky, ox s - p + kx]
  function convolution({inputs, outputs, kernel_size: [kh, kw], stride: [sh, sw], padding: [ph, pw], weight, bias}) {
    const shape = ([, h, w]) => [
      outputs,
      Math.floor((h + 2 * ph - kh) / sh) + 1,
      Math.floor((w + 2 * pw - kw) / sw) + 1,
    ];
    return {
      shape,
      run(x, from) {
        const [, h, w] = from,
          [, oh, ow] = shape(from),
          y = biased(bias, outputs, oh * ow);
        for (let oc = 0, at = 0; oc < outputs; oc++)
          for (let ic = 0; ic < inputs; ic++)
            for (let ky = 0; ky < kh; ky++) {
              const [top, bottom] = reach(oh, ky, sh, ph, h);
              for (let kx = 0; kx < kw; kx++) {
                const value = weight[at++],
                  [left, right] = reach(ow, kx, sw, pw, w);
                for (let oy = top; oy < bottom; oy++) {
                  const to = (oc * oh + oy) * ow,
                    row = (ic * h + oy * sh - ph + ky) * w - pw + kx;
                  for (let ox = left; ox < right; ox++) y[to + ox] += value * x[row + ox * sw];
                }
              }
            }
        return Float32Array.from(y);
      },
    };
  }

  // Each x[ic, iy, ix] is spread: y[oc, iy s - p + ky, ix s - p + kx] += w[ic, oc, ky, kx] x[ic, iy, ix]
  function transposedConvolution({
    inputs,
    outputs,
    kernel_size: [kh, kw],
    stride: [sh, sw],
    padding: [ph, pw],
    output_padding: [eh, ew],
    weight,
    bias,
  }) {
    const shape = ([, h, w]) => [outputs, (h - 1) * sh - 2 * ph + kh + eh, (w - 1) * sw - 2 * pw + kw + ew];
    return {
      shape,
      run(x, from) {
        const [, h, w] = from,
          [, oh, ow] = shape(from),
          y = biased(bias, outputs, oh * ow);
        for (let ic = 0, at = 0; ic < inputs; ic++)
          for (let oc = 0; oc < outputs; oc++)
            for (let ky = 0; ky < kh; ky++) {
              const [top, bottom] = reach(h, ky, sh, ph, oh);
              for (let kx = 0; kx < kw; kx++) {
                const value = weight[at++],
                  [left, right] = reach(w, kx, sw, pw, ow);
                for (let iy = top; iy < bottom; iy++) {
                  const row = (ic * h + iy) * w,
                    to = (oc * oh + iy * sh - ph + ky) * ow - pw + kx;
                  for (let ix = left; ix < right; ix++) y[to + ix * sw] += value * x[row + ix];
                }
              }
            }
        return Float32Array.from(y);
      },
    };
  }

  // Each group of channels to mean 0 and variance 1, then scaled and shifted channel by channel
  function groupNorm({groups, eps, weight, bias}) {
    return {
      shape: (from) => from,
      run(x) {
        const size = x.length / groups,
          area = x.length / weight.length,
          y = new Float32Array(x.length);
        for (let g = 0; g < groups; g++) {
          let sum = 0,
            squares = 0;
          for (let i = g * size; i < (g + 1) * size; i++) sum += x[i];
          const mean = sum / size;
          for (let i = g * size; i < (g + 1) * size; i++) squares += (x[i] - mean) ** 2;
          const scale = 1 / Math.sqrt(squares / size + eps);
          for (let i = g * size; i < (g + 1) * size; i++) {
            const channel = Math.floor(i / area);
            y[i] = (x[i] - mean) * scale * weight[channel] + bias[channel];
          }
        }
        return y;
      },
    };
  }

  // x + f(x)
  function residual({layers}, from) {
    const inside = build(layers, from);
    return {
      shape: () => from,
      run(x) {
        const y = inside(x);
        return y.map((v, i) => v + x[i]);
      },
    };
  }

  const each = (f) => ({shape: (from) => from, run: (x) => x.map(f)});
  const LAYERS = {
    linear,
    convolution,
    transposed_convolution: transposedConvolution,
    group_norm: groupNorm,
    residual,
    flatten: () => ({shape: (from) => [from.reduce((a, b) => a * b, 1)], run: (x) => x}),
    unflatten: ({shape}) => ({shape: () => shape, run: (x) => x}),
    relu: () => each((v) => (v > 0 ? v : 0)),
    leaky_relu: ({slope}) => each((v) => (v > 0 ? v : slope * v)),
    tanh: () => each(Math.tanh),
    sigmoid: () => each(sigmoid),
    elu: ({alpha}) => each((v) => (v > 0 ? v : alpha * Math.expm1(v))),
    silu: () => each((v) => v * sigmoid(v)),
    softplus: ({beta}) => each((v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(beta * v))) / beta),
  };
  const sigmoid = (v) => 1 / (1 + Math.exp(-v));

  // E[x|z] from the decoder's output at a pixel
  const MEANS = {
    sigmoid,
    identity: (v) => v,
    continuous_bernoulli: (a) => (Math.abs(a) < 0.1 ? 0.5 + a / 12 - a ** 3 / 720 : -1 / Math.expm1(-a) - 1 / a),
  };

  // Layers and the shape of their input -> a function of one vector
  function build(layers, shape) {
    const steps = [];
    for (const layer of layers) {
      const values = {
        ...layer,
        weight: layer.weight && floats(layer.weight, layer.bits),
        bias: layer.bias && floats(layer.bias, 32),
      };
      const made = LAYERS[layer.kind](values, shape);
      steps.push({made, from: shape});
      shape = made.shape(shape);
    }
    return (x) => steps.reduce((state, {made, from}) => made.run(state, from), x);
  }

  // z -> E[x|z], the first `size` outputs through the mean function
  function decoder({layers, mean}, dims, size) {
    const run = build(layers, [dims]),
      f = MEANS[mean];
    return (z) => run(Float32Array.from(z)).subarray(0, size).map(f);
  }

  // x -> {mean, log_var} of q(z|x)
  function encoder({layers}, shape, dims) {
    const run = build(layers, shape);
    return (x) => {
      const both = run(x);
      return {mean: Array.from(both.subarray(0, dims)), log_var: Array.from(both.subarray(dims, 2 * dims))};
    };
  }
  return {floats, decoder, encoder};
})();
