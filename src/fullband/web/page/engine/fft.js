/* Fourier transforms of real signals, in double precision. */

const plans = new Map();

/** The transform of a length that is a power of two. */
export function fft(length) {
  if (!plans.has(length)) plans.set(length, new Fft(length));
  return plans.get(length);
}

/* A real signal of length N is transformed as a complex one of N / 2, even samples being its real
   part: Press et al., Numerical Recipes, 12.3. */
class Fft {
  constructor(length) {
    this.length = length;
    this.half = length / 2;
    this.bins = this.half + 1;
    const half = this.half;
    this.cos = Float64Array.from({ length: half }, (_, k) => Math.cos((Math.PI * k) / half));
    this.sin = Float64Array.from({ length: half }, (_, k) => Math.sin((Math.PI * k) / half));
    this.swap = new Uint32Array(half);
    for (let i = 1; i < half; i++) this.swap[i] = (this.swap[i >> 1] >> 1) | (i & 1 ? half >> 1 : 0);
    this.re = new Float64Array(half);
    this.im = new Float64Array(half);
  }

  /** From N samples to N / 2 + 1 bins, real and imaginary parts. */
  forward(samples, real, imaginary) {
    const { half, re, im, swap, cos, sin } = this;
    for (let i = 0; i < half; i++) {
      re[swap[i]] = samples[2 * i];
      im[swap[i]] = samples[2 * i + 1];
    }
    this.butterflies();
    real[0] = re[0] + im[0];
    imaginary[0] = 0;
    real[half] = re[0] - im[0];
    imaginary[half] = 0;
    for (let k = 1; k < half; k++) {
      const n = half - k;
      const evenRe = 0.5 * (re[k] + re[n]);
      const evenIm = 0.5 * (im[k] - im[n]);
      const oddRe = 0.5 * (im[k] + im[n]);
      const oddIm = -0.5 * (re[k] - re[n]);
      real[k] = evenRe + cos[k] * oddRe + sin[k] * oddIm;
      imaginary[k] = evenIm + cos[k] * oddIm - sin[k] * oddRe;
    }
  }

  /** Back again, scaled so that nothing is changed by both. */
  inverse(real, imaginary, samples) {
    const { half, re, im, swap, cos, sin } = this;
    for (let k = 0; k < half; k++) {
      const n = half - k;
      const evenRe = 0.5 * (real[k] + real[n]);
      const evenIm = 0.5 * (imaginary[k] - imaginary[n]);
      const differenceRe = 0.5 * (real[k] - real[n]);
      const differenceIm = 0.5 * (imaginary[k] + imaginary[n]);
      const oddRe = cos[k] * differenceRe - sin[k] * differenceIm;
      const oddIm = cos[k] * differenceIm + sin[k] * differenceRe;
      /* The inverse of a transform is the conjugate of that of the conjugate. */
      re[swap[k]] = evenRe - oddIm;
      im[swap[k]] = -(evenIm + oddRe);
    }
    this.butterflies();
    for (let i = 0; i < half; i++) {
      samples[2 * i] = re[i] / half;
      samples[2 * i + 1] = -im[i] / half;
    }
  }

  butterflies() {
    const { half, re, im, cos, sin } = this;
    for (let size = 1; size < half; size *= 2) {
      const step = half / size; /* of the table, which turns half a circle in `half` */
      for (let start = 0; start < half; start += 2 * size) {
        for (let k = 0, turn = 0; k < size; k++, turn += step) {
          const a = start + k;
          const b = a + size;
          const bRe = re[b] * cos[turn] + im[b] * sin[turn];
          const bIm = im[b] * cos[turn] - re[b] * sin[turn];
          re[b] = re[a] - bRe;
          im[b] = im[a] - bIm;
          re[a] += bRe;
          im[a] += bIm;
        }
      }
    }
  }
}
