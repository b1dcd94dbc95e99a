// Drawing that can be differentiated, in plain JavaScript: what dsketch_nb.draw and dsketch_nb.imageopt do, for a page
// without a kernel. Nothing here touches a page. It can be imported, and it can be run as a Worker: see `serve` at the end.
// Positions of strokes are (row, col) in grid units, as in Python: the centres of the first and the last row stand at -1
// and 1, pixels are square. While drawing, lengths are in pixels. A picture is [height, width, 3] in one row of numbers.

// ---------------------------------------------------------------------------------------------------- numbers

export const pitch = (h, w) => 2 / Math.max((h > 1 ? h : w > 1 ? w : 2) - 1, 1);
const clamp = (x, low, high) => x < low ? low : x > high ? high : x;

// exp(-x) for 0 <= x <= 40: the nearest multiple of 1/64 from a table, the rest by a series.
const STEP = 64, MOST = 40;
const TABLE = Float64Array.from({ length: MOST * STEP + 2 }, (_, i) => Math.exp(-i / STEP));

export function expMinus(x) {
  const i = (x * STEP + .5) | 0, f = i / STEP - x;
  return TABLE[i] * (1 + f * (1 + f * (.5 + f / 6)));
}

// Random numbers in [0, 1) that the seed decides (mulberry32).
export function random(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6D2B79F5) | 0;
    let t = Math.imul(a ^ a >>> 15, 1 | a);
    t = (t + Math.imul(t ^ t >>> 7, 61 | t)) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 4294967296;
  };
}

// An array that has room for n numbers: the old one, or a larger one that begins alike.
function room(array, n) {
  if (array.length >= n) return array;
  const more = new array.constructor(Math.max(n, array.length * 3 >> 1));
  more.set(array);
  return more;
}

// ---------------------------------------------------------------------------------------------------- compiled loops

// engine.c as WebAssembly, for four pixels at once: the loops of Drawing, `mse` and `blur` once more, several times as fast. A browser
// without it, or a page that forbids it, goes on with those below; the results are the same to rounding.
class Compiled {
  constructor() {
    this.program = new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(atob(WASM), c => c.charCodeAt(0)))).exports;
    this.owner = null;                                          // the drawing whose strokes are in its memory
    this.look();
  }

  // Views of its memory, which are anew where it has grown.
  look() {
    const { buffer } = this.program.memory;
    if (this.ints?.buffer === buffer) return this;
    this.ints = new Int32Array(buffer);
    this.floats = new Float32Array(buffer);
    this.doubles = new Float64Array(buffer);
    return this;
  }

  // What its answer is, unless it has no room.
  had(answer) {
    if (answer <= 0) throw new Error('there is no memory for so many pixels and strokes: take fewer or thinner strokes, or a smaller picture');
    this.look();
    return answer;
  }

  draw(o, paper, keep) {
    const { program } = this, vertices = o.offsets[o.count], at = this.had(program.begin(o.height, o.width, o.count, vertices)) >> 2;
    [this.offsets, this.sigma, this.mix, this.place, this.picture, this.byWidth, this.byColour, this.byAlpha, this.pull] = this.ints.subarray(at, at + 9);
    this.owner = keep ? o : null;
    this.ints.set(o.offsets.subarray(0, o.count + 1), this.offsets >> 2);
    this.doubles.set(o.sigma.subarray(0, o.count), this.sigma >> 3);
    this.doubles.set(o.mix.subarray(0, 4 * o.count), this.mix >> 3);
    this.doubles.set(o.place.subarray(0, 2 * vertices), this.place >> 3);
    o.pairs = this.had(program.draw(o.paint, keep, ...paper) + 1) - 1;
    o.picture.set(this.floats.subarray(this.picture >> 2, (this.picture >> 2) + o.picture.length));
  }

  backward(o, grad, only) {
    if (this.owner !== o) throw new Error('something else was drawn meanwhile: draw this again');
    this.floats.set(grad, this.picture >> 2);
    this.program.backward(only);
    for (const [name, n] of [['byWidth', o.count], ['byColour', 3 * o.count], ['byAlpha', o.count], ['pull', 2 * o.offsets[o.count]]]) {
      o[name].set(this.doubles.subarray(this[name] >> 3, (this[name] >> 3) + n));
    }
  }

  mse(picture, target, grad) {
    const { length } = picture, at = this.had(this.program.lend(2 * length)) >> 2;
    this.floats.set(picture, at);
    this.floats.set(target, at + length);
    const loss = this.program.mse(length);
    grad.set(this.floats.subarray(at, at + length));
    return loss;
  }

  blur(from, to, h, w, channels, taps) {
    const { length } = from, at = this.had(this.program.lend(3 * length + (w + 2) * channels * taps.length + 16)) >> 2;
    this.floats.set(from, at);
    this.floats.set(taps, at + length);
    this.program.blur(h, w, channels, taps.length >> 1);
    to.set(this.floats.subarray(at, at + length));
  }
}

let machine, wanted = true;         // null: a browser that does not have it, or a page that does not allow it

// Whether the compiled loops are used from now on: where they can be had, unless `want` is false.
export function compiled(want = wanted) {
  wanted = want;
  if (wanted && machine === undefined) {
    try { machine = new Compiled(); } catch { machine = null; }
  }
  return wanted && machine !== null;
}

// ---------------------------------------------------------------------------------------------------- groups of strokes

// How many control points a stroke of a kind has; polylines and chains of cubics have as many as they are given.
export const POINTS = { points: 1, segments: 2, polylines: null, beziers: 4 };

// Vertices of a chain of cubics as sums of its control points: [vertices, points] weights (Bernstein).
export function bezierWeights(points, chords) {
  const spans = (points - 1) / 3, rows = spans * chords + 1, out = new Float64Array(rows * points);
  for (let v = 0; v < rows; v++) {
    const j = Math.min(Math.floor(v / chords), spans - 1), t = v / chords - j, s = 1 - t;
    [s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t].forEach((x, k) => { out[v * points + 3 * j + k] += x; });
  }
  return out;
}

// Numbers that are learned, `per` of them a stroke, with their gradient and what Adam remembers of it.
export class Learned {
  constructor(values, per) {
    this.values = Float32Array.from(values);
    this.per = per;
    this.grad = new Float32Array(this.values.length);
    this.mean = new Float32Array(this.values.length);
    this.square = new Float32Array(this.values.length);
  }

  get all() { return [this.values, this.mean, this.square]; }

  // strokes in another order, or fewer of them, and `more` new ones, without a past, behind
  keep(order, more = 0) {
    const { per } = this;
    for (const name of ['values', 'mean', 'square']) {
      const old = this[name], now = new Float32Array((order.length + more) * per);
      order.forEach((n, i) => { for (let k = 0; k < per; k++) now[i * per + k] = old[n * per + k]; });
      this[name] = now;
    }
    this.grad = new Float32Array(this.values.length);
  }

  // new values from stroke n on, without a past
  renew(n, values) {
    this.values.set(values, n * this.per);
    this.mean.fill(0, n * this.per, n * this.per + values.length);
    this.square.fill(0, n * this.per, n * this.per + values.length);
  }
}

// Strokes of one kind. A width is learned as its logarithm, so that it stays above 0.
export class Group {
  constructor({ kind, params, colour, sigma, alpha, points, chords = 10 }) {
    this.kind = kind;                                           // a key of POINTS
    this.points = points ?? POINTS[kind];                       // control points a stroke
    this.chords = chords;                                       // of each cubic
    this.params = new Learned(params, 2 * this.points);         // [n, points, 2] grid units, (row, col)
    this.colour = new Learned(colour, 3);                       // [n, 3] as seen, in [0, 1]
    this.width = new Learned(Array.from(sigma, Math.log), 1);   // [n] log of sigma in grid units
    this.alpha = new Learned(alpha, 1);                         // [n] opacity in [0, 1]
    this.weights = kind === 'beziers' ? bezierWeights(this.points, chords) : null;
    this.vertices = this.weights ? this.weights.length / this.points : this.points;    // a stroke
  }

  get count() { return this.alpha.values.length; }
  get learned() { return [this.params, this.colour, this.width, this.alpha]; }

  // as plain numbers, which nobody changes any more; Group takes them back
  copy() {
    const { kind, points, chords } = this;
    const [params, colour, width, alpha] = this.learned.map(o => o.values.slice());
    return { kind, points, chords, params, colour, alpha, sigma: width.map(Math.exp) };
  }
}

// ---------------------------------------------------------------------------------------------------- strokes to pixels

// exp(-d2/sigma2) below the rounding of single precision changes nothing: a stroke is drawn where d2 < REACH sigma2.
export const REACH = 3 + 23 * Math.LN2;
const SEGMENT = 8;      // numbers kept of a segment: its start (row, col), direction (row, col), length, 1/rows, tilt, reach

// Groups of strokes as a picture, and the way back from a gradient by the picture to gradients by the strokes.
// Its arrays grow with the largest drawing it has seen and are then used again: an iteration allocates nothing.
export class Drawing {
  constructor(height, width) {
    this.height = height;
    this.width = width;
    this.pitch = pitch(height, width);
    this.picture = new Float32Array(3 * height * width);
    this.through = new Float32Array(3 * height * width);        // the gradient on its way down through the strokes
    this.paint = true;                                          // or ink
    this.count = 0;
    this.pairs = 0;
    // of each stroke: its first vertex, its first row in the canvas and in the list of rows, sigma in pixels, colour and opacity
    this.offsets = new Int32Array(0);
    this.top = new Int32Array(0);
    this.firstRow = new Int32Array(0);
    this.sigma = new Float64Array(0);
    this.mix = new Float64Array(0);
    this.byWidth = new Float64Array(0);
    this.byColour = new Float64Array(0);
    this.byAlpha = new Float64Array(0);
    // of each vertex: its place in pixels, its gradient, the segment that begins there, and that segment's rows
    this.place = new Float64Array(0);
    this.pull = new Float64Array(0);
    this.segment = new Float64Array(0);
    this.rows = new Int32Array(0);
    // of each row of a stroke: the columns [left, right) and the first pair
    this.left = new Int32Array(0);
    this.right = new Int32Array(0);
    this.start = new Int32Array(0);
    // of each pair, a stroke and a pixel in its reach: d2/sigma2, ink, what lies under it, and the segment that is nearest
    this.x = new Float32Array(0);
    this.ink = new Float32Array(0);
    this.under = new Float32Array(0);
    this.who = new Int32Array(0);
    this.weight = new Float32Array(0);
  }

  // Control points -> vertices in pixels, and the strokes' numbers side by side.
  gather(groups) {
    let strokes = 0, vertices = 0;
    for (const g of groups) { strokes += g.count; vertices += g.count * g.vertices; }
    this.offsets = room(this.offsets, strokes + 1);
    this.top = room(this.top, strokes);
    this.firstRow = room(this.firstRow, strokes + 1);
    this.sigma = room(this.sigma, strokes);
    this.mix = room(this.mix, 4 * strokes);
    this.byWidth = room(this.byWidth, strokes);
    this.byColour = room(this.byColour, 3 * strokes);
    this.byAlpha = room(this.byAlpha, strokes);
    this.place = room(this.place, 2 * vertices);
    this.pull = room(this.pull, 2 * vertices);
    this.segment = room(this.segment, SEGMENT * vertices);
    this.rows = room(this.rows, 2 * vertices);
    this.count = strokes;
    let n = 0, v = 0;
    for (const g of groups) {
      const { params: { values: p }, weights, points, vertices: many } = g, colour = g.colour.values;
      for (let i = 0; i < g.count; i++, n++) {
        this.offsets[n] = v;
        this.sigma[n] = Math.exp(g.width.values[i]) / this.pitch;
        this.mix[4 * n] = colour[3 * i];
        this.mix[4 * n + 1] = colour[3 * i + 1];
        this.mix[4 * n + 2] = colour[3 * i + 2];
        this.mix[4 * n + 3] = g.alpha.values[i];
        for (let k = 0; k < many; k++, v++) {
          let row = 0, col = 0;
          if (weights) {
            for (let j = 0; j < points; j++) {
              const share = weights[k * points + j];
              row += share * p[2 * (i * points + j)];
              col += share * p[2 * (i * points + j) + 1];
            }
          } else {
            row = p[2 * (i * points + k)];
            col = p[2 * (i * points + k) + 1];
          }
          this.place[2 * v] = row / this.pitch + (this.height - 1) / 2;
          this.place[2 * v + 1] = col / this.pitch + (this.width - 1) / 2;
        }
      }
    }
    this.offsets[n] = v;
  }

  // How much of a pixel stroke n covers.
  cover(n, row, col) {
    const { offsets, place, sigma, mix } = this, first = offsets[n], last = offsets[n + 1] - 1;
    let least = MOST;
    for (let v = first; v < Math.max(last, first + 1); v++) {
      const w = Math.min(v + 1, last), ay = place[2 * v], ax = place[2 * v + 1], my = place[2 * w] - ay, mx = place[2 * w + 1] - ax;
      const t = clamp(((row - ay) * my + (col - ax) * mx) / (my * my + mx * mx || 1), 0, 1);
      least = Math.min(least, ((row - ay - t * my) ** 2 + (col - ax - t * mx) ** 2) / sigma[n] ** 2);
    }
    return mix[4 * n + 3] * expMinus(least);
  }

  // The segment from vertex v to vertex w: direction, length, and the rows of the canvas in its reach.
  measure(v, w, reach) {
    const { place, segment: s, rows, height, width } = this, at = SEGMENT * v;
    const ay = place[2 * v], ax = place[2 * v + 1], by = place[2 * w], bx = place[2 * w + 1];
    const my = by - ay, mx = bx - ax, length = Math.sqrt(my * my + mx * mx);
    s[at] = ay;
    s[at + 1] = ax;
    s[at + 2] = length > 0 ? my / length : 0;
    s[at + 3] = length > 0 ? mx / length : 1;
    s[at + 4] = length;
    s[at + 5] = 1 / (my === 0 ? 1e-30 : my);
    s[at + 6] = reach * s[at + 3] * Math.abs(s[at + 5]);
    s[at + 7] = reach;
    const y0 = Math.max(Math.ceil(Math.min(ay, by) - reach), 0), y1 = Math.min(Math.floor(Math.max(ay, by) + reach), height - 1) + 1;
    const beside = Math.max(ax, bx) + reach < 0 || Math.min(ax, bx) - reach > width - 1;
    rows[2 * v] = beside || !(y0 < y1) ? 0 : y0;
    rows[2 * v + 1] = beside || !(y0 < y1) ? 0 : y1;
  }

  // The columns [left, right) of a row in reach of the segment that begins at vertex v, as left * 65536 + right.
  span(v, row) {
    const s = this.segment, at = SEGMENT * v, y = row - s[at], my = s[at + 2] * s[at + 4], mx = s[at + 3] * s[at + 4], reach = s[at + 7];
    const t = clamp(y * s[at + 5] - s[at + 6], 0, 1), u = clamp(y * s[at + 5] + s[at + 6], 0, 1);
    const r2 = reach * reach, fromT = y - t * my, fromU = y - u * my;
    if (r2 < fromT * fromT) return 0;
    const left = Math.ceil(Math.max(s[at + 1] + t * mx - Math.sqrt(r2 - fromT * fromT), 0));
    const right = Math.floor(Math.min(s[at + 1] + u * mx + Math.sqrt(Math.max(r2 - fromU * fromU, 0)), this.width - 1)) + 1;
    return left < right ? left * 65536 + right : 0;
  }

  // Which pixels each stroke can touch, and how many pairs of a stroke and a pixel that makes.
  plan() {
    this.pairs = 0;
    this.firstRow[0] = 0;
    let longest = 0;
    for (let n = 0; n < this.count; n++) longest = Math.max(longest, this.planStroke(n));
    this.x = room(this.x, this.pairs);
    this.ink = room(this.ink, this.pairs);
    this.who = room(this.who, this.pairs);
    this.under = room(this.under, 3 * this.pairs);
    this.weight = room(this.weight, longest);
  }

  // The rows of stroke n, and in each the columns from its leftmost pixel to its rightmost; the number of its pairs.
  planStroke(n) {
    const { offsets, rows } = this, first = offsets[n], last = offsets[n + 1] - 1, end = Math.max(last, first + 1);
    const list = this.firstRow[n], reach = Math.sqrt(REACH) * this.sigma[n], before = this.pairs;
    let top = this.height, bottom = 0;
    for (let v = first; v < end; v++) {
      this.measure(v, Math.min(v + 1, last), reach);
      if (rows[2 * v] === rows[2 * v + 1]) continue;
      top = Math.min(top, rows[2 * v]);
      bottom = Math.max(bottom, rows[2 * v + 1]);
    }
    const after = list + Math.max(bottom - top, 0);
    this.top[n] = top;
    this.firstRow[n + 1] = after;
    this.left = room(this.left, after);
    this.right = room(this.right, after);
    this.start = room(this.start, after);
    const { left, right, start } = this;
    left.fill(this.width, list, after);
    right.fill(0, list, after);
    for (let v = first; v < end; v++) {
      for (let y = rows[2 * v], i = list + y - top; y < rows[2 * v + 1]; y++, i++) {
        const both = this.span(v, y);
        if (both === 0) continue;
        left[i] = Math.min(left[i], both >>> 16);
        right[i] = Math.max(right[i], both & 65535);
      }
    }
    for (let i = list; i < after; i++) {
      start[i] = this.pairs;
      if (right[i] > left[i]) this.pairs += right[i] - left[i];
      else left[i] = right[i] = 0;
    }
    return this.pairs - before;
  }

  // d2/sigma2 for each pair of stroke n.
  distances(n) {
    const { offsets, segment: s, rows, left, right, start, x, who } = this, scale = 1 / (this.sigma[n] * this.sigma[n]);
    const first = offsets[n], many = offsets[n + 1] - first - 1, list = this.firstRow[n], top = this.top[n], alone = many < 2;
    const lastRow = this.firstRow[n + 1] - 1;
    if (!alone && lastRow >= list) x.fill(MOST, start[list], start[lastRow] + right[lastRow] - left[lastRow]);
    if (!alone && lastRow >= list) who.fill(first, start[list], start[lastRow] + right[lastRow] - left[lastRow]);
    for (let v = first; v < first + Math.max(many, 1); v++) {
      const at = SEGMENT * v, ay = s[at], ax = s[at + 1], uy = s[at + 2], ux = s[at + 3], length = s[at + 4];
      for (let y = rows[2 * v]; y < rows[2 * v + 1]; y++) {
        const i = list + y - top, both = alone ? 0 : this.span(v, y);
        const a = alone ? left[i] : both >>> 16, b = alone ? right[i] : both & 65535;
        let beside = (a - ax) * uy - (y - ay) * ux, along = (y - ay) * uy + (a - ax) * ux;
        for (let p = start[i] + a - left[i], end = p + b - a; p < end; p++) {
          const beyond = along < 0 ? along : along > length ? along - length : 0;
          const d = Math.fround((beside * beside + beyond * beyond) * scale);         // as it is kept: of equals the first is nearest
          if (alone) x[p] = d;
          else if (d < x[p]) { x[p] = d; who[p] = v; }
          beside += uy;
          along += ux;
        }
      }
    }
  }

  // The picture of groups of strokes on paper. Where nobody wants to go back, it need not `keep` what lies under them.
  draw(groups, compose, paper, keep = true) {
    const { picture } = this;
    this.paint = compose === 'paint';
    this.gather(groups);
    this.machine = compiled() ? machine : null;
    if (this.machine) {
      this.machine.draw(this, paper, keep);
      return picture;
    }
    this.plan();
    for (let k = 0; k < picture.length; k += 3) { picture[k] = paper[0]; picture[k + 1] = paper[1]; picture[k + 2] = paper[2]; }
    for (let n = 0; n < this.count; n++) {
      this.distances(n);
      this.lay(n);
    }
    return picture;
  }

  // Stroke n on the picture. Each pixel in its reach, with ink r = exp(-d2/sigma2) and opacity a, becomes pixel + a r (c - k pixel).
  // Paint covers: c is its colour and k is 1. Ink absorbs: c is 0 and k the part of each channel that it takes.
  lay(n) {
    const { picture, width: W, x, ink, under, left, right, start, mix, paint } = this, a = mix[4 * n + 3];
    const c0 = paint ? mix[4 * n] : 0, c1 = paint ? mix[4 * n + 1] : 0, c2 = paint ? mix[4 * n + 2] : 0;
    const k0 = paint ? 1 : 1 - mix[4 * n], k1 = paint ? 1 : 1 - mix[4 * n + 1], k2 = paint ? 1 : 1 - mix[4 * n + 2];
    for (let i = this.firstRow[n], y = this.top[n]; i < this.firstRow[n + 1]; i++, y++) {
      let k = 3 * (y * W + left[i]), q = 3 * start[i];
      for (let p = start[i], end = p + right[i] - left[i]; p < end; p++, k += 3, q += 3) {
        const d = x[p], j = (d * STEP + .5) | 0, f = j / STEP - d, r = TABLE[j] * (1 + f * (1 + f * (.5 + f / 6)));
        const i0 = picture[k], i1 = picture[k + 1], i2 = picture[k + 2], s = a * r;
        ink[p] = r;
        under[q] = i0;
        under[q + 1] = i1;
        under[q + 2] = i2;
        picture[k] = i0 + s * (c0 - k0 * i0);
        picture[k + 1] = i1 + s * (c1 - k1 * i1);
        picture[k + 2] = i2 + s * (c2 - k2 * i2);
      }
    }
  }

  // From dL/dpicture to byAlpha, byColour, byWidth (of log sigma) and, unless `only`, pull (of the vertices, per pixel):
  // the strokes in reverse order, the gradient dimmed by each on its way to those below.
  backward(grad, only = false) {
    if (this.machine) return this.machine.backward(this, grad, only);
    this.through.set(grad);
    this.pull.fill(0);
    for (let n = this.count - 1; n >= 0; n--) {
      this.lift(n);
      if (!only) this.pullEnds(n);
    }
  }

  // Stroke n, backwards: what `lay` did to a pixel, differentiated by r, a, c or k, and by the pixel under it.
  lift(n) {
    const { through: g, width: W, x, ink, under, left, right, start, mix, weight, paint } = this, a = mix[4 * n + 3];
    const c0 = paint ? mix[4 * n] : 0, c1 = paint ? mix[4 * n + 1] : 0, c2 = paint ? mix[4 * n + 2] : 0;
    const k0 = paint ? 1 : 1 - mix[4 * n], k1 = paint ? 1 : 1 - mix[4 * n + 1], k2 = paint ? 1 : 1 - mix[4 * n + 2];
    const own = paint ? 1 : 0, below = 1 - own;
    let s0 = 0, s1 = 0, s2 = 0, byAlpha = 0, byWidth = 0, m = 0;
    for (let i = this.firstRow[n], y = this.top[n]; i < this.firstRow[n + 1]; i++, y++) {
      let k = 3 * (y * W + left[i]), q = 3 * start[i];
      for (let p = start[i], end = p + right[i] - left[i]; p < end; p++, k += 3, q += 3) {
        const r = ink[p], s = a * r, u0 = under[q], u1 = under[q + 1], u2 = under[q + 2], g0 = g[k], g1 = g[k + 1], g2 = g[k + 2];
        const byInk = g0 * (c0 - k0 * u0) + g1 * (c1 - k1 * u1) + g2 * (c2 - k2 * u2), w = s * byInk;
        s0 += s * g0 * (own + below * u0);
        s1 += s * g1 * (own + below * u1);
        s2 += s * g2 * (own + below * u2);
        g[k] = g0 * (1 - s * k0);
        g[k + 1] = g1 * (1 - s * k1);
        g[k + 2] = g2 * (1 - s * k2);
        byAlpha += r * byInk;
        byWidth += w * x[p];
        weight[m++] = w;
      }
    }
    this.byColour[3 * n] = s0;
    this.byColour[3 * n + 1] = s1;
    this.byColour[3 * n + 2] = s2;
    this.byAlpha[n] = byAlpha;
    this.byWidth[n] = 2 * byWidth;
  }

  // From w = r dL/dr of each pair of stroke n to the ends of the segment that is nearest: dL/da = 2/sigma2 sum w (1-t) (pixel - nearest point).
  pullEnds(n) {
    const { offsets, segment: s, left, right, start, who, weight, pull } = this, scale = 2 / (this.sigma[n] * this.sigma[n]);
    const first = offsets[n], many = offsets[n + 1] - first - 1, origin = start[this.firstRow[n]];
    for (let i = this.firstRow[n], y = this.top[n]; i < this.firstRow[n + 1]; i++, y++) {
      for (let c = left[i], p = start[i]; c < right[i];) {
        const v = many < 2 ? first : who[p], at = SEGMENT * v, uy = s[at + 2], ux = s[at + 3], length = s[at + 4], per = length > 1e-10 ? 1 / length : 0;
        let along = (y - s[at]) * uy + (c - s[at + 1]) * ux, beside = (c - s[at + 1]) * uy - (y - s[at]) * ux;
        let besideA = 0, beyondA = 0, besideB = 0, beyondB = 0;
        for (; c < right[i] && (many < 2 || who[p] === v); c++, p++, along += ux, beside += uy) {
          const w = weight[p - origin], t = clamp(along * per, 0, 1), beyond = along < 0 ? along : along > length ? along - length : 0, b = w * t;
          besideA += (w - b) * beside;
          beyondA += (w - b) * beyond;
          besideB += b * beside;
          beyondB += b * beyond;
        }
        pull[2 * v] += scale * (beyondA * uy - besideA * ux);
        pull[2 * v + 1] += scale * (beyondA * ux + besideA * uy);
        if (many > 0) {
          pull[2 * v + 2] += scale * (beyondB * uy - besideB * ux);
          pull[2 * v + 3] += scale * (beyondB * ux + besideB * uy);
        }
      }
    }
  }

  // The gradients into the groups that were drawn: from vertices in pixels to control points in grid units, and a colour's share of its opacity.
  scatter(groups) {
    let n = 0, v = 0;
    for (const g of groups) {
      const { weights, points, vertices: many } = g, into = g.params.grad, colour = g.colour.grad;
      into.fill(0);
      for (let i = 0; i < g.count; i++, n++) {
        for (let c = 0; c < 3; c++) colour[3 * i + c] = this.byColour[3 * n + c];
        g.alpha.grad[i] = this.byAlpha[n];
        g.width.grad[i] = this.byWidth[n];
        for (let k = 0; k < many; k++, v++) {
          for (let j = weights ? 0 : k; j < (weights ? points : k + 1); j++) {
            const share = (weights ? weights[k * points + j] : 1) / this.pitch;
            into[2 * (i * points + j)] += share * this.pull[2 * v];
            into[2 * (i * points + j) + 1] += share * this.pull[2 * v + 1];
          }
        }
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------------- losses

// A sampled Gaussian, its size the next odd number at or above floor(8 sigma + 1).
export function gaussianTaps(sigma) {
  const r = Math.floor(Math.floor(8 * sigma + 1) / 2);
  const taps = Float64Array.from({ length: 2 * r + 1 }, (_, i) => i === r ? 1 : Math.exp(-((i - r) ** 2) / (2 * sigma * sigma)));
  const sum = taps.reduce((a, b) => a + b, 0);
  return taps.map(t => t / sum);
}

// `to` = the Gaussian blur of `from` [h, w, channels], zeros outside; `between` has the same size. It is its own transpose.
export function blur(from, to, between, h, w, channels, taps) {
  const r = taps.length >> 1, row = w * channels;
  between.fill(0);
  for (let j = -r; j <= r; j++) {
    const t = taps[j + r], by = j * channels, first = Math.max(-by, 0), last = row - Math.max(by, 0);
    for (let y = 0; y < h; y++) for (let k = y * row + first, end = y * row + last; k < end; k++) between[k] += t * from[k + by];
  }
  to.fill(0);
  for (let j = -r; j <= r; j++) {
    const t = taps[j + r], by = j * row;
    for (let k = Math.max(-by, 0), end = h * row - Math.max(by, 0); k < end; k++) to[k] += t * between[k + by];
  }
}

// The mean squared error, and its gradient by the picture into `grad`.
export function mse(picture, target, grad) {
  if (compiled()) return machine.mse(picture, target, grad);
  const n = picture.length, scale = 2 / n;
  let sum = 0;
  for (let k = 0; k < n; k++) {
    const e = picture[k] - target[k];
    sum += e * e;
    grad[k] = scale * e;
  }
  return sum / n;
}

// The same of both pictures blurred: it sees further, and no detail finer than sigma.
export class BlurredMSE {
  constructor(h, w, sigma = 1) {
    this.size = [h, w, 3, gaussianTaps(sigma)];
    this.error = new Float32Array(3 * h * w);
    this.between = new Float32Array(3 * h * w);
  }

  value(picture, target, grad) {
    const { error, size } = this, n = picture.length;
    let sum = 0;
    for (let k = 0; k < n; k++) grad[k] = picture[k] - target[k];
    this.blur(grad, error);
    for (let k = 0; k < n; k++) {
      sum += error[k] * error[k];
      error[k] *= 2 / n;
    }
    this.blur(error, grad);
    return sum / n;
  }

  blur(from, to) {
    if (compiled()) machine.blur(from, to, ...this.size); else blur(from, to, this.between, ...this.size);
  }
}

// ---------------------------------------------------------------------------------------------------- one step

// One step of Adam for numbers with their gradient; t counts from 1 (Kingma & Ba 2015).
export function adam(x, t, lr, [beta1, beta2]) {
  const { values, grad, mean, square } = x, rate = lr / (1 - beta1 ** t), root = Math.sqrt(1 - beta2 ** t);
  for (let i = 0; i < values.length; i++) {
    mean[i] = beta1 * mean[i] + (1 - beta1) * grad[i];
    square[i] = beta2 * square[i] + (1 - beta2) * grad[i] * grad[i];
    values[i] -= rate * mean[i] / (Math.sqrt(square[i]) / root + 1e-8);
  }
}

// Learning rates fall along half a cosine to `final` of what they were; x is the part of the run that is over.
export const cosine = (x, final) => final + (1 - final) * (1 + Math.cos(Math.PI * Math.min(x, 1))) / 2;

// ---------------------------------------------------------------------------------------------------- where strokes begin

// At every pixel of a picture: how fast its brightness changes [h, w], and the way along the edge [h, w, 2] (row, col), from
// products of differences, blurred (the structure tensor; Bigun & Granlund 1987).
export function edges(target, h, w, sigma = 1.5) {
  const grey = Float64Array.from({ length: h * w }, (_, k) => (target[3 * k] + target[3 * k + 1] + target[3 * k + 2]) / 3);
  const strength = new Float64Array(h * w), products = new Float64Array(3 * h * w), smooth = new Float64Array(3 * h * w), way = new Float64Array(2 * h * w);
  const at = (y, x) => grey[clamp(y, 0, h - 1) * w + clamp(x, 0, w - 1)];
  for (let y = 0, k = 0; y < h; y++) {
    for (let x = 0; x < w; x++, k++) {
      const r = (at(y + 1, x) - at(y - 1, x)) / 2, c = (at(y, x + 1) - at(y, x - 1)) / 2;
      strength[k] = Math.hypot(r, c);
      products.set([r * r, c * c, r * c], 3 * k);
    }
  }
  blur(products, smooth, new Float64Array(3 * h * w), h, w, 3, gaussianTaps(sigma));
  for (let k = 0; k < h * w; k++) {
    const across = Math.atan2(2 * smooth[3 * k + 2], smooth[3 * k + 1] - smooth[3 * k]) / 2;
    way[2 * k] = Math.cos(across);
    way[2 * k + 1] = -Math.sin(across);
  }
  return { strength, way };
}

// n places drawn at random by weight [h, w], in pixels; a tenth of the mean weight goes to every pixel.
export function samplePixels(weight, h, w, n, rand) {
  const sum = new Float64Array(h * w), mean = weight.reduce((a, b) => a + b, 0) / (h * w);
  let all = 0;
  for (let k = 0; k < h * w; k++) sum[k] = all += weight[k] + .1 * mean + 1e-12;
  return Array.from({ length: n }, () => {
    const wanted = rand() * all;
    let low = 0, high = h * w - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sum[middle] > wanted) high = middle; else low = middle + 1;
    }
    return [Math.floor(low / w) + rand() - .5, low % w + rand() - .5];
  });
}

// n strokes of a kind along the edges of a picture, in its colours, where `weight` wants them; their mean length is 10 pixels.
export function strokesAlong(kind, points, n, target, h, w, weight, way, rand, length = 10) {
  const params = [], colour = [], p = pitch(h, w);
  for (const [y, x] of samplePixels(weight, h, w, n, rand)) {
    const k = clamp(Math.round(y), 0, h - 1) * w + clamp(Math.round(x), 0, w - 1), half = length / 2 * (.5 + rand());
    for (let j = 0; j < points; j++) {
      const t = points > 1 ? 2 * j / (points - 1) - 1 : 0;
      params.push((y + t * half * way[2 * k] - (h - 1) / 2) * p, (x + t * half * way[2 * k + 1] - (w - 1) / 2) * p);
    }
    colour.push(target[3 * k], target[3 * k + 1], target[3 * k + 2]);
  }
  return { params, colour };
}

// n strokes of a kind anywhere, in any colour, short.
export function strokesAnywhere(points, n, h, w, rand) {
  const params = [], colour = [], p = pitch(h, w), some = () => 2 * rand() - 1;
  for (let i = 0; i < n; i++) {
    const y = some() * (h - 1) / 2 * p, x = some() * (w - 1) / 2 * p;
    for (let j = 0; j < points; j++) params.push(y + (j && .1 * some()), x + (j && .1 * some()));
    colour.push(rand(), rand(), rand());
  }
  return { params, colour };
}

// ---------------------------------------------------------------------------------------------------- the loop

// Settings have the names that `imageopt` gives them in Python, and the values of its preset `paint`, but for the number of strokes.
export const SETTINGS = {
  kind: 'segments', strokes: 500, compose: 'paint', paper: 'mean', start: 'edges', colour: true, opt_opacity: true, opt_sigma2: true,
  sigma: 2.5,               // pixels, at the start; of strokes that are moved later, .6 of it where widths are learned
  opacity: .8, lr: .01, colour_lr: .05, sigma2_lr: .03, betas: [.9, .95], final_lr: .05, reseed: .08, iters: 500,
  loss: 'MSE', blur_sigma: 1, seed: 1,
};
const KINDS = { kind: ['points', 'segments', 'polylines', 'beziers'], compose: ['ink', 'paint', 'softor'], loss: ['MSE', 'BlurredMSE'], start: ['edges', 'random'] };
const ABOVE_0 = ['sigma', 'lr', 'colour_lr', 'sigma2_lr', 'iters', 'blur_sigma'];
const VERTICES = 4;         // of a polyline that is made here
const POLYLINE = { ...POINTS, polylines: VERTICES };

// Refuse what cannot be done, in one line.
function check(settings) {
  for (const [k, v] of Object.entries(settings)) {
    if (!(k in SETTINGS)) throw new Error(`there is no setting ${k}: expected one of ${Object.keys(SETTINGS).join(', ')}`);
    if (KINDS[k] && !KINDS[k].includes(v)) throw new Error(`${k} ${v} is not one of ${KINDS[k].join(', ')}`);
    if (ABOVE_0.includes(k) && !(v > 0 && v < Infinity)) throw new Error(`${k} ${v} must be a number above 0`);
    if (k === 'strokes' && !(Number.isInteger(v) && v > 0)) throw new Error(`strokes ${v} must be a whole number of 1 or more`);
  }
  return settings;
}

// At most `most` things out of a row without end, evenly spread.
export class Thinned {
  constructor(most) { Object.assign(this, { most, stride: 1, kept: [] }); }
  wants(i) { return i % this.stride === 0; }
  add(i, thing) {
    if (this.wants(i)) this.kept.push([i, thing]);
    while (this.kept.length > this.most) {
      this.stride *= 2;
      this.kept = this.kept.filter(([j]) => this.wants(j));
    }
  }
}

// Strokes on their way to a picture: `step`, and everything that a hand may change between two steps.
export class Fit {
  constructor(target, height, width, settings = {}, scene = null) {
    Object.assign(this, { height, width, scene });
    this.settings = { ...SETTINGS, ...check(settings) };
    this.drawing = new Drawing(height, width);
    this.grad = new Float32Array(3 * height * width);
    this.aim(target);
    this.reset();
  }

  // Another target from now on [height, width, 3] in [0, 1].
  aim(target) {
    this.target = target;
    this.edges = edges(target, this.height, this.width);
    this.warm();
  }

  // Back to the start, with the settings as they are now. A scene starts as it is, at the learning rates of a run's end;
  // `anew`, it starts from new strokes of its kinds and numbers.
  reset(anew = false) {
    const { settings: s, height, width, scene } = this;
    this.random = random(s.seed);
    this.compose = s.compose;
    this.paper = scene?.paper ?? (s.paper === 'mean' ? this.mean() : s.paper);
    if (scene && !anew) this.groups = scene.groups.map(g => new Group(g));
    else if (scene) this.groups = scene.groups.map(g => this.begin(g.kind, g.alpha.length, g.points));
    else this.groups = [this.begin(s.kind, s.strokes)];
    this.iteration = this.steps = 0;
    this.begun = scene && !anew ? -s.iters : 0;
    this.past = new Thinned(100);
    this.curve = new Thinned(300);
    this.held = null;
    this.seen = null;                               // the loss of what was drawn last, if that is still so
    this.blurred = new BlurredMSE(height, width, s.blur_sigma);
  }

  // The picture's mean colour.
  mean() {
    const sum = [0, 0, 0];
    for (let k = 0; k < this.target.length; k++) sum[k % 3] += this.target[k];
    return sum.map(x => 3 * x / this.target.length);
  }

  // A group of new strokes.
  begin(kind, n, points = POLYLINE[kind]) {
    const { settings: s, height, width } = this;
    const { params, colour } = this.fresh(kind, points, n, this.edges.strength);
    const sigma = Array(n).fill(s.sigma * pitch(height, width));
    return new Group({ kind, points, params, colour: s.colour ? colour : Array(3 * n).fill(0), sigma, alpha: Array(n).fill(s.opacity) });
  }

  fresh(kind, points, n, weight) {
    const { target, height, width, random: rand } = this;
    if (this.settings.start === 'edges') return strokesAlong(kind, points, n, target, height, width, weight, this.edges.way, rand);
    return strokesAnywhere(points, n, height, width, rand);
  }

  get count() { return this.groups.reduce((n, g) => n + g.count, 0); }

  // Learning rates at their full value again: something has changed.
  warm() { this.begun = this.iteration; }

  draw() { return this.drawing.draw(this.groups, this.compose, this.paper); }

  lossOf(picture) {
    if (this.settings.loss === 'MSE') return mse(picture, this.target, this.grad);
    return this.blurred.value(picture, this.target, this.grad);
  }

  // The loss of the strokes as they are. A step that comes next, with nothing in between, need not draw them again.
  see() {
    this.seen = this.lossOf(this.draw());
    return this.seen;
  }

  // One iteration; the loss before it.
  step() {
    const { settings: s } = this, loss = this.seen ?? this.lossOf(this.draw());
    this.seen = null;
    if (!Number.isFinite(loss)) throw new Error(`the loss is ${loss} at iteration ${this.iteration}: lower the learning rate`);
    this.curve.add(this.iteration, loss);
    if (this.past.wants(this.iteration)) this.past.add(this.iteration, this.moment(loss));
    this.drawing.backward(this.grad);
    this.drawing.scatter(this.groups);
    const rate = cosine((this.iteration - this.begun) / s.iters, s.final_lr);
    this.steps += 1;
    for (const g of this.groups) {
      adam(g.params, this.steps, s.lr * rate, s.betas);
      if (s.colour) adam(g.colour, this.steps, s.colour_lr * rate, s.betas);
      if (s.opt_opacity) adam(g.alpha, this.steps, s.colour_lr * rate, s.betas);
      if (s.opt_sigma2) adam(g.width, this.steps, s.sigma2_lr * rate, s.betas);
    }
    this.bound();
    this.iteration += 1;
    this.reseed();
    return loss;
  }

  // Positions onto the canvas, colours and opacities into [0, 1], learned widths between .45 and 30 pixels.
  bound() {
    const { height, width, settings: s } = this, p = pitch(height, width), row = (height - 1) / 2 * p, col = (width - 1) / 2 * p;
    for (const g of this.groups) {
      const { values } = g.params;
      for (let k = 0; k < values.length; k += 2) {
        values[k] = clamp(values[k], -row, row);
        values[k + 1] = clamp(values[k + 1], -col, col);
      }
      for (let k = 0; k < g.colour.values.length; k++) g.colour.values[k] = clamp(g.colour.values[k], 0, 1);
      for (let k = 0; k < g.count; k++) g.alpha.values[k] = clamp(g.alpha.values[k], 0, 1);
      if (s.opt_sigma2) for (let k = 0; k < g.count; k++) g.width.values[k] = clamp(g.width.values[k], Math.log(.45 * p), Math.log(30 * p));
    }
    if (this.held) this.groups[this.held.group].params.renew(this.held.stroke, this.held.params);
  }

  // How much the sum of squared errors would grow without each stroke, estimated from 1 + probes backward passes (page 12).
  removalCost(probes = 4, picture = this.draw()) {
    const { drawing, grad, target } = this, n = drawing.count;
    const alpha = k => drawing.mix[4 * k + 3];
    for (let k = 0; k < grad.length; k++) grad[k] = picture[k] - target[k];
    drawing.backward(grad, true);
    const cost = Float64Array.from({ length: n }, (_, k) => -2 * alpha(k) * drawing.byAlpha[k]);
    for (let i = 0; i < probes; i++) {
      for (let k = 0; k < grad.length;) {
        let bits = this.random() * (1 << 24) | 0;
        for (const end = Math.min(k + 24, grad.length); k < end; k++, bits >>= 1) grad[k] = 2 * (bits & 1) - 1;
      }
      drawing.backward(grad, true);
      for (let k = 0; k < n; k++) cost[k] += (alpha(k) * drawing.byAlpha[k]) ** 2 / probes;
    }
    return cost;
  }

  // Where the picture is wrong [h, w], blurred.
  wrong(picture = this.draw()) {
    const { target, height, width } = this, n = height * width, out = new Float32Array(n), to = new Float32Array(n);
    for (let k = 0, j = 0; k < n; k++, j += 3) out[k] = (picture[j] - target[j]) ** 2 + (picture[j + 1] - target[j + 1]) ** 2 + (picture[j + 2] - target[j + 2]) ** 2;
    if (compiled()) machine.blur(out, to, height, width, 1, gaussianTaps(2)); else blur(out, to, new Float32Array(n), height, width, 1, gaussianTaps(2));
    return to;
  }

  // Ten times in a run, until .8 of it: the strokes that are worth least move to the front, to where the picture is most wrong.
  reseed() {
    const { settings: s } = this, i = this.iteration - this.begun;
    if (!s.reseed || i % Math.max(Math.floor(s.iters / 10), 1) || i > .8 * s.iters || this.held) return;
    const picture = this.draw(), wrong = this.wrong(picture), cost = this.removalCost(4, picture);
    let first = 0;
    for (const g of this.groups) {
      const n = g.count, k = Math.floor(n * s.reseed), own = cost.subarray(first, first + n);
      first += n;
      if (k) this.replace(g, own, k, k, wrong);
    }
  }

  // `gone` of a group's strokes, those that cost least, leave; `more` new ones join, on top, where the picture is wrong.
  replace(g, cost, gone, more, wrong) {
    const { settings: s, height, width } = this, order = Array.from(cost.keys()).sort((a, b) => cost[a] - cost[b]);
    const kept = order.slice(gone).sort((a, b) => a - b);
    const { params, colour } = this.fresh(g.kind, g.points, more, wrong);
    for (const x of g.learned) x.keep(kept, more);
    g.params.renew(kept.length, params);
    g.colour.renew(kept.length, s.colour ? colour : Array(3 * more).fill(0));
    g.width.renew(kept.length, Array(more).fill(Math.log((s.opt_sigma2 ? .6 : 1) * s.sigma * pitch(height, width))));
    g.alpha.renew(kept.length, Array(more).fill(s.opacity));
  }

  // The strokes as they are, as plain numbers that nobody changes any more.
  moment(loss = null) {
    const { iteration, height, width, compose, paper } = this;
    return { iteration, loss, height, width, compose, paper, groups: this.groups.map(g => g.copy()) };
  }

  // New settings from the next step on; all of them, or none if one is wrong.
  set(changes) {
    check(changes);
    const { kind, strokes } = changes, [g] = this.groups;
    if ((kind || strokes) && this.groups.length > 1) throw new Error('a drawing of several kinds keeps its kinds and numbers');
    Object.assign(this.settings, changes);
    if (changes.compose) this.compose = changes.compose;
    if (changes.blur_sigma) this.blurred = new BlurredMSE(this.height, this.width, changes.blur_sigma);
    if (changes.sigma) for (const { width } of this.groups) width.renew(0, Array(width.values.length).fill(Math.log(changes.sigma * pitch(this.height, this.width))));
    if (kind && kind !== g.kind) this.groups = [this.converted(g, kind)];
    if (strokes) this.resize(strokes);
    this.warm();
  }

  // To n strokes: those that are missed least leave, new ones join where the picture is wrong.
  resize(n) {
    const [g] = this.groups, more = n - g.count;
    if (more !== 0) this.replace(g, more < 0 ? this.removalCost() : new Float64Array(g.count), Math.max(-more, 0), Math.max(more, 0), this.wrong());
  }

  // The same strokes as another kind; a point becomes a short stroke along the edge that it stands on.
  converted(g, kind) {
    const { height, width } = this, points = POLYLINE[kind], p = pitch(height, width), old = g.copy(), params = [];
    const drawing = new Drawing(height, width);
    drawing.gather([g]);
    for (let n = 0; n < g.count; n++) {
      for (let j = 0; j < points; j++) {
        const t = (points > 1 ? j / (points - 1) : .5) * (g.vertices - 1), i = Math.min(Math.floor(t), Math.max(g.vertices - 2, 0));
        const v = n * g.vertices + i, w = Math.min(v + 1, (n + 1) * g.vertices - 1), [ay, ax, by, bx] = [v, v, w, w].map((o, k) => drawing.place[2 * o + k % 2]);
        let y = ay + (t - i) * (by - ay), x = ax + (t - i) * (bx - ax);
        if (g.kind === 'points') {
          const k = clamp(Math.round(y), 0, height - 1) * width + clamp(Math.round(x), 0, width - 1), along = points > 1 ? 10 * j / (points - 1) - 5 : 0;
          y += along * this.edges.way[2 * k];
          x += along * this.edges.way[2 * k + 1];
        }
        params.push((y - (height - 1) / 2) * p, (x - (width - 1) / 2) * p);
      }
    }
    return new Group({ ...old, kind, points, params });
  }

  // A hand holds a stroke at these control points, whatever the gradient says; and lets it go.
  hold(group, stroke, params) {
    this.held = { group, stroke, params };
    this.groups[group].params.renew(stroke, params);
  }

  release() {
    this.held = null;
    this.warm();
  }

  // The stroke that one sees at a place in pixels: the topmost that covers a third of it, or else the one that covers most.
  pick(y, x) {
    const { drawing } = this;
    drawing.gather(this.groups);
    let best = -1, most = 1e-4;
    for (let n = drawing.count - 1; n >= 0; n--) {
      const cover = drawing.cover(n, Math.round(y), Math.round(x));
      if (cover > most) [best, most] = [n, cover];
      if (cover > 1 / 3) break;
    }
    return best < 0 ? null : this.stroke(best);
  }

  // Stroke n of all: its group, its number there, its control points in grid units.
  stroke(n) {
    let group = 0;
    while (n >= this.groups[group].count) n -= this.groups[group++].count;
    const { params: { values, per }, kind } = this.groups[group];
    return { group, stroke: n, kind, params: Array.from(values.subarray(n * per, (n + 1) * per)) };
  }
}

// ---------------------------------------------------------------------------------------------------- what one takes away

// A moment drawn `scale` times as large: { height, width, rgba }.
export function pixels(moment, scale = 1) {
  const height = Math.round(moment.height * scale), width = Math.round(moment.width * scale);
  const drawing = new Drawing(height, width);
  drawing.pitch = pitch(moment.height, moment.width) / scale;            // pixels' edges stay where they were
  const picture = drawing.draw(moment.groups.map(g => new Group(g)), moment.compose, moment.paper, false);
  return { height, width, rgba: rgba(picture, new Uint8ClampedArray(4 * height * width)) };
}

function rgba(picture, out) {
  for (let k = 0, j = 0; k < picture.length; k += 3, j += 4) {
    out[j] = 255 * picture[k];
    out[j + 1] = 255 * picture[k + 1];
    out[j + 2] = 255 * picture[k + 2];
    out[j + 3] = 255;
  }
  return out;
}

// A moment as an SVG that looks like it: each stroke once, with as much ink as exp(-d2/sigma2).
export function svg(moment) {
  const { height, width, compose, paper, groups } = moment, p = pitch(height, width), paint = compose === 'paint', out = [];
  const hex = c => '#' + c.map(x => Math.round(255 * clamp(x, 0, 1)).toString(16).padStart(2, '0')).join('');
  const number = x => String(Number(x.toFixed(3)));
  for (const g of groups) {
    for (let n = 0; n < g.alpha.length; n++) {
      const at = j => `${number(g.params[2 * (n * g.points + j) + 1] / p + width / 2)} ${number(g.params[2 * (n * g.points + j)] / p + height / 2)}`;
      const rest = Array.from({ length: g.points - 1 }, (_, j) => at(j + 1)), dot = rest.every(q => q === at(0)), sigma = g.sigma[n] / p;
      const wide = sigma * (dot ? 2 : Math.sqrt(Math.PI)), thin = wide > .75 && wide < 1.002;        // hairlines differ between renderers
      const strength = g.alpha[n] * (thin ? (wide / 1.002) ** (dot ? 2 : 1) : 1), colour = Array.from(g.colour.subarray(3 * n, 3 * n + 3));
      const seen = paint ? colour : colour.map(c => 1 - strength * (1 - c));
      const d = dot ? `M${at(0)}h0` : `M${at(0)}${g.kind === 'beziers' ? 'C' : ' '}${rest.join(' ')}`;
      out.push(`<path stroke="${hex(seen)}" stroke-width="${number(thin ? 1.002 : wide)}"${paint ? ` stroke-opacity="${number(strength)}"` : ''} d="${d}"/>`);
    }
  }
  return [`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`,
    `<rect width="${width}" height="${height}" fill="${hex(Array.from(paper))}"/>`,
    paint ? '' : '<style>path{mix-blend-mode:multiply}</style>',
    '<g fill="none" stroke-linecap="round" stroke-linejoin="round">', ...out, '</g>', '</svg>', ''].filter((x, i) => x || i > 5).join('\n');
}

// An animated GIF of pictures { rgba } of one size: 6 x 7 x 6 colours, an ordered pattern of dots between them.
export function gif(frames, height, width, hundredths = 8) {
  const bytes = [], word = n => bytes.push(n & 255, n >> 8), text = t => { for (const c of t) bytes.push(c.charCodeAt(0)); };
  const levels = [6, 7, 6], bayer = [0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5].map(x => (x + .5) / 16);
  text('GIF89a');
  word(width);
  word(height);
  bytes.push(0xf7, 0, 0);
  for (let i = 0; i < 256; i++) {
    const [r, g, b] = [Math.floor(i / 42), Math.floor(i / 6) % 7, i % 6];
    bytes.push(...(i < 252 ? [r * 51, Math.round(g * 42.5), b * 51] : [0, 0, 0]));
  }
  bytes.push(0x21, 0xff, 11);
  text('NETSCAPE2.0');
  bytes.push(3, 1, 0, 0, 0);
  frames.forEach((pixels, f) => {
    bytes.push(0x21, 0xf9, 4, 0);
    word(f === frames.length - 1 ? 200 : hundredths);
    bytes.push(0, 0, 0x2c, 0, 0, 0, 0);
    word(width);
    word(height);
    bytes.push(0, 8);
    const indices = new Uint8Array(height * width);
    for (let k = 0; k < indices.length; k++) {
      const dot = bayer[4 * (Math.floor(k / width) & 3) + (k % width & 3)];
      const part = c => Math.min(Math.floor(pixels[4 * k + c] / 255 * (levels[c] - 1) + dot), levels[c] - 1);
      indices[k] = part(0) * 42 + part(1) * 6 + part(2);
    }
    const packed = lzw(indices);
    for (let i = 0; i < packed.length; i += 255) {
      const block = packed.slice(i, i + 255);
      bytes.push(block.length, ...block);
    }
    bytes.push(0);
  });
  bytes.push(0x3b);
  return Uint8Array.from(bytes);
}

// Lempel-Ziv-Welch as GIF wants it: codes of 9 to 12 bits, lowest bit first; 256 clears, 257 ends.
function lzw(indices) {
  const out = [];
  let table = new Map(), next = 258, bits = 9, held = 0, filled = 0;
  const put = code => {
    held |= code << filled;
    for (filled += bits; filled >= 8; filled -= 8) { out.push(held & 255); held >>>= 8; }
  };
  put(256);
  let prefix = indices[0];
  for (let k = 1; k < indices.length; k++) {
    const key = prefix << 8 | indices[k], known = table.get(key);
    if (known !== undefined) { prefix = known; continue; }
    put(prefix);
    prefix = indices[k];
    if (next === 4096) {
      put(256);
      [table, next, bits] = [new Map(), 258, 9];
      continue;
    }
    table.set(key, next);
    if (next === 1 << bits) bits += 1;
    next += 1;
  }
  put(prefix);
  put(257);
  if (filled) out.push(held & 255);
  return out;
}

// ---------------------------------------------------------------------------------------------------- as a Worker

// Pictures come as bytes, [height, width, 4]; 0 to 1 from here on.
const fromBytes = rgba => Float32Array.from({ length: rgba.length / 4 * 3 }, (_, k) => rgba[4 * Math.floor(k / 3) + k % 3] / 255);

// Answers messages { id, do, ... } with { id, ... } or { id, error }, and tells of a run in frames { frame, ... }.
// `post(message, transferred)` sends, `later(f)` calls f when waiting messages have been heard, `now()` is in milliseconds.
export function server(post, later, now, fps = 25, rest = 3000) {
  let fit = null, running = false, waiting = false, spare = null, out = 0, owed = false, until = 0, pinned = null;

  // what is on the screen: the strokes as they are, or a moment of the past
  function show() {
    owed = out > 1;                                 // a page that does not show them gets no more until it does
    if (!fit || owed) return;
    const { height, width } = fit, size = 4 * height * width;
    const moment = pinned ?? fit.moment(), loss = pinned ? pinned.loss : fit.see();
    const bytes = spare?.byteLength === size ? new Uint8ClampedArray(spare) : new Uint8ClampedArray(size);
    if (pinned) bytes.set(pixels(pinned).rgba); else rgba(fit.drawing.picture, bytes);
    spare = null;
    out += 1;
    let error = 0;
    for (let k = 0, j = 0; k < fit.target.length; k++, j += k % 3 ? 1 : 2) error += (bytes[j] / 255 - fit.target[k]) ** 2;
    post({ frame: bytes.buffer, height, width, running, looking: pinned !== null, iteration: moment.iteration, of: fit.iteration, loss,
      psnr: -10 * Math.log10(Math.max(error / fit.target.length, 1e-12)), strokes: fit.count, kind: fit.groups.map(g => g.kind).join(', '),
      curve: fit.curve.kept.concat(pinned ? [] : [[fit.iteration, loss]]), past: fit.past.kept.length }, [bytes.buffer]);
  }

  function loop() {
    waiting = false;
    if (!running) return;
    try {
      const end = now() + 1000 / fps;
      do { fit.step(); } while (now() < end && fit.iteration < until);
      if (fit.iteration >= until) running = false;
      show();
    } catch (error) {
      running = false;
      post({ error: error.message, running });
    }
    go();
  }

  function go() {
    if (!running || waiting) return;
    waiting = true;
    later(loop);
  }

  const doing = {
    open({ rgba, height, width, settings, scene }) {
      fit = new Fit(fromBytes(rgba), height, width, settings, scene);
      pinned = null;
      out = 0;
    },
    start() {
      pinned = null;
      running = true;
      until = fit.iteration + rest;
    },
    pause() { running = false; },
    step({ n = 1 }) {
      running = false;
      pinned = null;
      for (let i = 0; i < n; i++) fit.step();
    },
    reset() {
      pinned = null;
      fit.reset(true);
    },
    set({ changes }) {
      fit.set(changes);
      until = fit.iteration + rest;
    },
    aim({ rgba }) {
      fit.aim(fromBytes(rgba));
      until = fit.iteration + rest;
    },
    look({ at }) { pinned = at === null ? null : fit.past.kept[Math.min(at, fit.past.kept.length - 1)]?.[1] ?? null; },
    part({ share }) {
      const moment = fit.moment(), all = Math.ceil(share * fit.count);
      let left = all;
      const groups = moment.groups.map(g => {
        const n = Math.min(left, g.alpha.length);
        left -= n;
        return { ...g, params: g.params.subarray(0, 2 * g.points * n), colour: g.colour.subarray(0, 3 * n), sigma: g.sigma.subarray(0, n), alpha: g.alpha.subarray(0, n) };
      });
      pinned = share < 1 ? { ...moment, loss: NaN, groups } : null;
    },
    pick({ row, col }) { return { picked: pinned ? null : fit.pick(row, col) }; },
    stroke({ n }) { return { picked: fit.stroke(n), strokes: fit.count }; },
    hold({ group, stroke, params }) { fit.hold(group, stroke, params); },
    release() { fit.release(); },
    svg() { return { svg: svg(pinned ?? fit.moment()) }; },
    pixels({ scale }) { return pixels(pinned ?? fit.moment(), scale); },
    moment() { return { moment: pinned ?? fit.moment() }; },
    film({ frames = 60 }) {
      const all = fit.past.kept.map(([, m]) => m).concat(fit.moment());
      const chosen = [...new Set(Array.from({ length: frames }, (_, j) => Math.round((all.length - 1) * (j / (frames - 1)) ** 1.5)))];
      const scale = Math.max(1, Math.round(400 / fit.width)), made = chosen.map(i => pixels(all[i], scale));
      return { gif: gif(made.map(o => o.rgba), made[0].height, made[0].width) };
    },
  };

  return function hear({ id, do: name, shown, ...rest }) {
    if (shown) {
      spare = shown;
      out -= 1;
      if (owed) show();                             // the last state is not lost
      return;
    }
    try {
      if (!(name in doing)) throw new Error(`nothing is called ${name}`);
      if (!fit && name !== 'open') throw new Error('there is no picture yet');
      if (fit) fit.seen = null;                     // it may change the strokes, or draw something else
      const answer = doing[name](rest);
      post({ id, ...answer });
      if (!answer) show();
      go();
    } catch (error) { post({ id, error: error.message }); }
  };
}

// engine.c, compiled by ziglang 0.17.1; sha256 of the source: c8ea6d1572c38c865c6817081517fc014f2180705813c72343785ea66004bfa8
const WASM = 'AGFzbQEAAAABNQhgBH9/f38Bf2ABfgF/YAV/f319fQF8YAF/AGAGf3x8fHx8AGABfwF/YAF/AXxgBH9/f38AAwkIAAECAwQFBgcFAwEAAQYIAX8BQYCAAQsHOAcGbWVtb3J5AgAFYmVnaW4AAARkcmF3AAIIYmFja3dhcmQAAwRsZW5kAAUDbXNlAAYEYmx1cgAHCpByCJ4DAgF/B35BACAANgKIgAFBACABNgKMgAFBACACNgKQgAFBAEGggQGtNwOAgAFBACABQQZqQXxxIgQ2ApSAAUEAIAKsIgVCAoYiBkIEfCIHEAEiAjYCoIABQQAgAjYCmIABQQAgBUIDhiIIEAEiAjYCpIABQQAgAjYCyIABQQAgBUIFhhABIgI2AqiAAUEAIAI2AsyAAUEAIAOsIglCBIYiChABIgI2AqyAAUEAIAI2AtCAAUEAIACsIgsgAax+Qgx+EAEiATYCsIABQQAgATYC1IABQQAgCBABIgE2ArSAAUEAIAE2AtiAAUEAIAVCGH4QASIBNgK4gAFBACABNgLcgAFBACAIEAEiATYCvIABQQAgATYC4IABQQAgCkIQfBABIgE2AsCAAUEAIAE2AuSAAUEAIAYQATYC6IABQQAgBxABNgLsgAFBACAJQtgAfhABNgLwgAFBACAErEIChiIFEAE2AvSAAUEAIAsgBX5CA34iBRABNgL4gAFBACAFEAEiATYC/IABQQBBACkDgIABNwOAgQFBoIABQQAgARsLjwEEAX8BfgF/An5BACEBQQApA4CAASECPwAhA0EAIABBoIEBrSACIAJQGyIEfEIPfEJwgyICNwOAgAECQCACQoCA/P8PVg0AAkAgAiADrSIAQhCGIgVYDQAgAiAFfUL//wN8IgIgAEINhnxCEIinQABBf0oNAEEAIQEgAkIQiKdAAEEASA0BCyAEpyEBCyABC5k0DgR/AX4DfwF8AX8BfAV/AXwPfwp8AX4Oewp/BXsjAEEwayIFJABBAEEAKQOAgQE3A4CAASAFIAQ4AiwgBSADOAIoIAUgAjgCJEEBIQZBACgC7IABIQcCQAJAQQAoApCAASIIQQFODQBCACEJQQAhCgwBC0EAKALQgAEiC0EIaiEMQQAoAoyAAUF/archDUEAKAKIgAEiDkF/archD0EAKALogAEhEEEAKALwgAEhEUEAKALIgAEhEkEAKAKYgAEiEygCACEUIA63IRVBACEKQQAhFkEAIRdBACEYA0AgEyAYQQJ0IhlqIRoCQAJAIBQgEyAYQQFqIhtBAnRqIhwoAgAiHWtBfUoNACAdQX9qIBRKDQAgDiEeQQAhHwwBCyAMIBRBBHRqISAgESAUQdgAbGohISASIBhBA3RqISJBACEfIA4hHgNAICFBxABqIBQiGCAYQQFqIhQgGCAUIB1IGyIdIAsgHUEEdGpBCGorAwAgICsDAGMiIxsiJDYCACAhQcAAaiAdIBggIxsiHTYCACALICRBBHRqIhhBCGorAwAhJSAYKwMAISYgCyAdQQR0aiIdKwMAIScgHUEIaisDACEoICIrAwAhKSAhQcgAaiIY/QwAAAAAAAAAAAAAAAAAAAAA/QsDACAhQThqIClEbWx7ab1oEUCiIik5AwAgIUEIaiAoOQMAICEgJzkDACAhQShqROmMoDlZPilGRAAAAAAAAPA/ICYgJ6EiKqMgKkQAAAAAAAAAAGEbIis5AwAgIUEgaiAqICqiICUgKKEiLCAsoqAiLZ8iLjkDACAhQRhqICwgLqNEAAAAAAAA8D8gLUQAAAAAAAAAAGQiHRsiLDkDACAhQRBqICogLqNEAAAAAAAAAAAgHRs5AwAgIUEwaiArmSApICyiojkDAAJAAkBEAAAAAAAA8L8gDyApICcgJiAnICZkG6CcIiogKiAPZBsgKkQAAAAAAADwv2MbIiqZRAAAAAAAAOBBY0UNACAqqiEdDAELQYCAgIB4IR0LAkACQEQAAAAAAAAAACAVICcgJiAnICZjGyApoZsiJyAnIBVkGyAnRAAAAAAAAAAAYxsiJ5lEAAAAAAAA4EFjRQ0AICeqISMMAQtBgICAgHghIwsCQAJAAkAgKSAloEQAAAAAAAAAAGMNACAoICmhIA1kDQAgHSAjTg0BCyAaKAIAIRggHCgCACEdDAELICFBzABqIB1BAWoiJDYCACAYICM2AgAgGigCACEYIBwoAgAhHSAkICNGDQACQCAYIB1rQX1KDQAgIUHQAGogFzYCACAXICNrICRqIRcgGigCACEYIBwoAgAhHQsCQAJAIB+3IicgJLciJiAnICZkGyInmUQAAAAAAADgQWNFDQAgJ6ohHwwBC0GAgICAeCEfCwJAIB63IicgI7ciJiAnICZjGyInmUQAAAAAAADgQWNFDQAgJ6ohHgwBC0GAgICAeCEeCyAgQRBqISAgIUHYAGohISAUIB1Bf2ogGEEBaiAYIB1rQX5IG0gNAAsLIBAgGWogHjYCACAHIBlqIAo2AgAgHyAea0EAIB8gHkobIApqIQogFiAaKAIAIBwoAgAiFGtBfkhyIRYgGyEYIBsgCEcNAAsgF6xCA4YhCSAWRSEGCyAHIAhBAnRqIAo2AgBBACAKrEIMfhABIg42ApCBAUQAAAAAAADwvyEqAkAgDkUNACAJEAEiGUUNAAJAAkAgCEEBTg0AQgAhL0QAAAAAAAAAACEmDAELQQAoAoyAASIbQX9qsv0TITBBACgC6IABIRJBACgC8IABIRZBACgCmIABIQwgG/0RITFEAAAAAAAAAAAhJkIAIQlCACEvQQAhEANAIBBBAnQhFCAOIAcgEEEBaiIQQQJ0Ih1qKAIAIhhBDGxqIRcgDiAHIBRqKAIAIiBBDGxqIh8hIQJAICAgGE4iEQ0AA0AgISAbNgIAICFBBGpCADcCACAhQQxqIiEgF0kNAAsLAkACQCAMIBRqIiIoAgAiISAMIB1qIh4oAgAiHWtBfUoNACAdQX9qICFMDQELIBIgFGohEyAhIQoDQAJAIBYgCkHYAGxqIhwoAkgiJCAcKAJMTg0AIB8gJEEMbGpBACATKAIAa0EMbGohISAZIBwoAlBBA3RqIRogHCsDICInIBwrAxiitv0TITIgHCsDECAnorb9EyEzIBwrAwAhJyAcKwMItv0TITQgHCsDMLb9EyE1IBwrAyi2/RMhNiAcKwM4IikgKaK2/RMhNwNAIDQgMiA2ICS3ICehtv0T/QwAAAAAAACAPwAAAEAAAEBA/eQBIjj95gEiOSA1/eUB/QwAAAAAAAAAAAAAAAAAAAAAIjr96wH9DAAAgD8AAIA/AACAPwAAgD8iO/3qASI8/eYB/eQBIDcgOCAzIDz95gH95QEiPCA8/eYBIjz95QEgOv3rAf3jAf3lASA6/esBIj39Z/34ASAxIDwgN/1E/U0gPSA0IDIgNSA5/eQBIDr96wEgO/3qASI5/eYB/eQBIDcgOCAzIDn95gH95QEiOCA4/eYB/eUBIDr96wH94wH95AEgMP3qASI4/UT9TyI5/VIhOiA5IDj9aP34Af0MAQAAAAEAAAABAAAAAQAAAP2uAf1OIThBACEUQQAhHQJAA0AgGiAUaiEYAkAgJCAdaiAcKAJMIiBIDQAgGCEaDAILIAUgOv0LBBACQCAFQRBqIB1BA3FBAnQiIHIoAgAiCyAhKAIATg0AICEgCzYCAAsgBSA4/QsEAAJAIAUgIHIoAgAiICAhQQRqIiMoAgBMDQAgIyAgNgIACwJAICIoAgAgHigCAGtBfUoNACAYIAs2AgAgGEEEaiAgNgIACyAhQQxqISEgHUEBaiEdIBRBCGoiFEEgRw0ACyAaIBRqIRogHCgCTCEgCyAkQQRqIiQgIEgNAAsgIigCACEhIB4oAgAhHQsgCkEBaiIKIB1Bf2ogIUEBaiAhIB1rQX5IG0gNAAsLAkAgEQ0AA0AgH0EIaiAJPgIAAkAgH0EEaigCACIhIB8oAgAiHUoNACAfQgA3AgBBACEdQQAhIQsgJiAhIB1rIiG3oCEmIAkgIUEDakECdax8IQkgH0EMaiIfIBdJDQALCyAJIC8gCSAvVhshLyAJQgAgARshCSAQIAhHDQALC0EAIC9CBoYQASIMNgKUgQEgDEUNAAJAIAYNAEEAIC9CBIYiCRABIiE2ApiBASAhRQ0BQQAgCRABIiE2ApyBASAhRQ0BCwJAICZEAAAAAAAAAABjDQBBACEUQQAgADYCiIEBQQAoApSAASIQQQAoAoiAASI+bCIjQQJ0ISAgI0EBSCELQQAoAviAASITIRgDQAJAIAsNACAFQSRqIBRBAnRqKgIAIQQgGCEhICMhHQNAICEgBDgCACAhQQRqISEgHUF/aiIdDQALCyAYICBqIRggFEEBaiIUQQNHDQALAkAgCEEBSA0AID5BA3QhPyAQQQJ0IR4gPkECdCFAQQAoApyBASEXQQAoApiBASEKQQAoAsiAASFBQQAoAuiAASFCQQAoAsyAASFDQQAoAvCAASESQQAoApiAASFEQQAhRQNAAkACQCBEIEUiAUECdCJGaiIRKAIAIiEgRCABQQFqIkVBAnQiFGoiBigCACIdayIYQX1KDQACQCAHIEZqIkcoAgAiICAHIBRqKAIAIhRGDQACQCAOICBBDGxqIhwoAggiICAOIBRBDGxqIhRBeGooAgAgFEF0aigCAGtBA2pBAnUgFEF8aigCAGoiFE4NACAKICBBBHQiHWohISAXIB1qIR0gFCAgayEUA0AgIf0MAAAgQgAAIEIAACBCAAAgQv0LBAAgHSAR/QkCAP0LBAAgIUEQaiEhIB1BEGohHSAUQX9qIhQNAAsgESgCACIhIAYoAgAiHWshGAsCQCAYQX1KDQAgHUF/aiAhTA0BCyBBIAFBA3RqIRsgQiBGaiEiICEhFgNAAkAgEiAWQdgAbGoiCygCSCIgIAsoAkwiGE4NACAW/REhPQNAAkAgGSALKAJQICBqIAsoAkhrQQN0aiIhKAIAIh0gISgCBCIhTg0AIB0gHCAgQQxsakEAICIoAgBrQQxsaiIjKAIAIhRrIh1BAnUiJCAhIBRrQQNqQQJ1IhpODQBEULCDIcw38z8gGysDAKMiJyAgtyALKwMAoSIlIAsrAxAiKqIiLCALKwMYIikgHUF8cSIdIBRqtyALKwMIoSIoICEgFEF/c2ogHWsiH7egoqAgCysDIKGitv0TITUgIygCCCIhIBpqIRggJyAporYiBEMAAIBAlP0TITkgJyAqorYiA0MAAIBAlP0TITsgA/0T/QwAAAAAAACAPwAAAEAAAEBAIjf95gEgJyAqICiiICUgKaKhorb9E/3kASE6IAT9EyI8IDf95gEgJyAsICggKaKgorb9E/3kASE4IAogISAkaiIUQQR0Ih1qISEgFyAdaiEdIDcgH7L9E/3lASE3A0AgHf0ABAAhMiAhICH9AAQAIjMgOiA6/eYBIDj9DAAAAAAAAAAAAAAAAAAAAAAiNP3qASA1IDwgN/3mAf3kASA0/esB/eQBIjQgNP3mAf3kASI0/eoB/QsEACAdID0gMiA0IDP9Q/1S/QsEACAhQRBqISEgHUEQaiEdIDf9DAAAgEAAAIBAAACAQAAAgED95AEhNyA5IDj95AEhOCA7IDr95AEhOiAUQQFqIhQgGEgNAAsgCygCTCEYCyAgQQFqIiAgGEgNAAsgESgCACEhIAYoAgAhHQsgFkEBaiIWIB1Bf2ogIUEBaiAhIB1rQX5IG0gNAAsLIEMgAUEFdGoiISsDACEnICErAxghKQJAAkAgAA0AICErAxAhKiAhKwMIIShDAAAAACEE/QwAAAAAAAAAAAAAAAAAAAAAIjshPAwBCyAhKwMQIiq2IQQgJ7b9EyE8ICErAwgiKLb9EyE7CyBHKAIAIiQgR0EEaiIfKAIAIh1ODQEgKbb9EyE9RAAAAAAAAPA/ICqhtv0TITZEAAAAAAAA8D8gKKG2/RMhMEQAAAAAAADwPyAnobb9EyExIAT9EyFIIBMgECA/IEIgRmooAgAiGkECdCIhamxqIRwgEyAQIEAgIWpsaiEiA0ACQCAOICRBDGxqIiEoAgQgISgCACIUayIjQQFIDQAgEyAQIBpsQQJ0aiAUQQJ0IhhqIR0gHCAYaiEUICIgGGohGCAMICEoAggiIEEGdGohISAKICBBBHRqISBBACELA0AgIP0ABAAhOiAd/QACACE4IBj9AAIAITcgIUEwaiBIIBT9AAIAIjX95QEiMv0LBAAgIUEgaiA7IDf95QEiM/0LBAAgIUEQaiA8IDj95QEiNP0LBAAgIf0MAABASwAAQEsAAEBLAABASyA6/QwAACBCAAAgQgAAIEIAACBC/eoBIjr95QEiOUEX/asBIDogOf0MAABAywAAQMsAAEDLAABAy/3kAf3kASI6/QwVcjG/FXIxvxVyMb8VcjG//eYB/QwAAIA/AACAPwAAgD8AAIA//eQBIDogOv3mASI5IDr9DKlbY72pW2O9qVtjvalbY7395gH9DN78dT7e/HU+3vx1Pt78dT795AEgOSA6/QwK3a26Ct2tugrdrboK3a26/eYB/QxEdR48RHUePER1HjxEdR48/eQB/eYB/eQB/eYB/eQB/a4BIjr9CwQAIB0gOCA0IDEgNP3mASAAGyA9IDr95gEiOv3mAf3kAf0LAgAgGCA3IDMgMCAz/eYBIAAbIDr95gH95AH9CwIAIBQgNSAyIDYgMv3mASAAGyA6/eYB/eQB/QsCACAUQRBqIRQgGEEQaiEYICFBwABqISEgHUEQaiEdICBBEGohICALQQRqIgsgI0gNAAsgHygCACEdCyAcIB5qIRwgIiAeaiEiIBpBAWohGiAkQQFqIiQgHUgNAAwCCwsgEiAhQdgAbGohIyBDIAFBBXRqIiErAwAhJyAhKwMYtv0TITYCQCAARQ0AIAcgRmoiHSgCACIaIB1BBGoiHygCACIUTg0BICe2/RMhSSAhKwMQtv0TIUogISsDCLb9EyFLIEEgAUEDdGohGyATIBAgPyBCIEZqKAIAIiRBAnQiIWpsaiEcIBMgECBAICFqbGohIgNAAkAgDiAaQQxsaiIhKAIEICEoAgAiHWsiC0EBSA0ARFCwgyHMN/M/IBsrAwCjIicgJLcgIysDAKEiJSAjKwMQIiqiIiwgHbcgIysDCKEiKCALQX9qIiC3oCAjKwMYIimioCAjKwMgoaK2/RMhMCAnICmitiIEQwAAgECU/RMhMSAnICqitiIDQwAAgECU/RMhSCATIBAgJGxBAnRqIB1BAnQiGGohHSAD/RP9DAAAAAAAAIA/AAAAQAAAQEAiOv3mASAnICggKqIgJSApoqGitv0T/eQBITggBP0TIkwgOv3mASAnICwgKCApoqCitv0T/eQBITcgHCAYaiEUICIgGGohGCAMICEoAghBBnRqISEgOiAgs/0T/eUBITJBACEgA0AgHf0AAgAhMyAY/QACACE0ICFBMGogSiAU/QACACI1/eUBIjn9CwQAICFBIGogSyA0/eUBIjv9CwQAICFBEGogSSAz/eUBIjz9CwQAICH9DAAAQEsAAEBLAABASwAAQEsgOCA4/eYBIDf9DAAAAAAAAAAAAAAAAAAAAAAiOv3qASAwIEwgMv3mAf3kASA6/esB/eQBIjogOv3mAf3kAf0MAAAgQgAAIEIAACBCAAAgQv3qASI6/eUBIj1BF/2rASA6ID39DAAAQMsAAEDLAABAywAAQMv95AH95AEiOv0MFXIxvxVyMb8VcjG/FXIxv/3mAf0MAACAPwAAgD8AAIA/AACAP/3kASA6IDr95gEiPSA6/QypW2O9qVtjvalbY72pW2O9/eYB/Qze/HU+3vx1Pt78dT7e/HU+/eQBID0gOv0MCt2tugrdrboK3a26Ct2tuv3mAf0MRHUePER1HjxEdR48RHUePP3kAf3mAf3kAf3mAf3kAf2uASI6/QsEACAdIDMgNiA6/eYBIjogPP3mAf3kAf0LAgAgGCA0IDogO/3mAf3kAf0LAgAgFCA1IDogOf3mAf3kAf0LAgAgFEEQaiEUIBhBEGohGCAhQcAAaiEhIB1BEGohHSAy/QwAAIBAAACAQAAAgEAAAIBA/eQBITIgMSA3/eQBITcgSCA4/eQBITggIEEEaiIgIAtIDQALIB8oAgAhFAsgHCAeaiEcICIgHmohIiAkQQFqISQgGkEBaiIaIBRIDQAMAgsLIAcgRmoiHSgCACIaIB1BBGoiHygCACIUTg0ARAAAAAAAAPA/ICehtv0TIUlEAAAAAAAA8D8gISsDEKG2/RMhSkQAAAAAAADwPyAhKwMIobb9EyFLIEEgAUEDdGohGyATIBAgPyBCIEZqKAIAIiRBAnQiIWpsaiEcIBMgECBAICFqbGohIgNAAkAgDiAaQQxsaiIhKAIEICEoAgAiHWsiC0EBSA0ARFCwgyHMN/M/IBsrAwCjIicgJLcgIysDAKEiJSAjKwMQIiqiIiwgHbcgIysDCKEiKCALQX9qIiC3oCAjKwMYIimioCAjKwMgoaK2/RMhMCAnICmitiIEQwAAgECU/RMhMSAnICqitiIDQwAAgECU/RMhSCATIBAgJGxBAnRqIB1BAnQiGGohHSAD/RP9DAAAAAAAAIA/AAAAQAAAQEAiOv3mASAnICggKqIgJSApoqGitv0T/eQBITggBP0TIkwgOv3mASAnICwgKCApoqCitv0T/eQBITcgHCAYaiEUICIgGGohGCAMICEoAghBBnRqISEgOiAgs/0T/eUBITJBACEgA0AgHf0AAgAhMyAY/QACACE0ICFBMGr9DAAAAAAAAAAAAAAAAAAAAAAiOiAU/QACACI1/eUBIjn9CwQAICFBIGogOiA0/eUBIjv9CwQAICFBEGogOiAz/eUBIjz9CwQAICH9DAAAQEsAAEBLAABASwAAQEsgOCA4/eYBIDcgOv3qASAwIEwgMv3mAf3kASA6/esB/eQBIjogOv3mAf3kAf0MAAAgQgAAIEIAACBCAAAgQv3qASI6/eUBIj1BF/2rASA6ID39DAAAQMsAAEDLAABAywAAQMv95AH95AEiOv0MFXIxvxVyMb8VcjG/FXIxv/3mAf0MAACAPwAAgD8AAIA/AACAP/3kASA6IDr95gEiPSA6/QypW2O9qVtjvalbY72pW2O9/eYB/Qze/HU+3vx1Pt78dT7e/HU+/eQBID0gOv0MCt2tugrdrboK3a26Ct2tuv3mAf0MRHUePER1HjxEdR48RHUePP3kAf3mAf3kAf3mAf3kAf2uASI6/QsEACAdIDMgNiA6/eYBIjogSSA8/eYB/eYB/eQB/QsCACAYIDQgOiBLIDv95gH95gH95AH9CwIAIBQgNSA6IEogOf3mAf3mAf3kAf0LAgAgFEEQaiEUIBhBEGohGCAhQcAAaiEhIB1BEGohHSAy/QwAAIBAAACAQAAAgEAAAIBA/eQBITIgMSA3/eQBITcgSCA4/eQBITggIEEEaiIgIAtIDQALIB8oAgAhFAsgHCAeaiEcICIgHmohIiAkQQFqISQgGkEBaiIaIBRIDQALCyBFIAhHDQALCyA+QQFIDQAgEEECdCEcQQAhGkEAKAKMgAEiI0EMbCEiIBAgPmxBAnQhGEEAKALUgAEhJCAjQQFIIR4DQAJAIB4NAEEAIQsgJCEUIBMhIANAICAhIUEAIR0DQCAUIB1qICEqAgA4AgAgISAYaiEhIB1BBGoiHUEMRw0ACyAUQQxqIRQgIEEEaiEgIAtBAWoiCyAjRw0ACwsgJCAiaiEkIBMgHGohEyAaQQFqIhogPkcNAAsLICYhKgsgBUEwaiQAICoL8S0NJX8BewZ8BHsFfw97AXwBfwp8AX0HewF9BHsCQEEAKAKUgAEiAUEAKAKIgAEiAmwiA0EDbCIEQQFIDQBBACgC/IABIQUDQCAFQQA2AgAgBUEEaiEFIARBf2oiBA0ACwsCQCACQQFIDQAgAUECdCEGQQAhB0EAKAKMgAEiCEEMbCEJIANBAnQhCkEAKAL8gAEhC0EAKALUgAEhDCAIQQFIIQ0DQAJAIA0NAEEAIQ4gDCEDIAshDwNAIA8hBUEAIQQDQCAFIAMgBGoqAgA4AgAgBSAKaiEFIARBBGoiBEEMRw0ACyADQQxqIQMgD0EEaiEPIA5BAWoiDiAIRw0ACwsgDCAJaiEMIAsgBmohCyAHQQFqIgcgAkcNAAsLAkBBACgCmIABIhBBACgCkIABIhFBAnRqKAIAIgVBAUgNACAFQQF0IgVBASAFQQFKGyEEQQAoAuSAASEFA0AgBUIANwMAIAVBCGohBSAEQX9qIgQNAAsLAkAgEUEBSA0AIAFBAnQhBiACQQN0IRIgAkECdCETQQAoAoiBASIEIAByIQdBACgCnIEBIRRBACgC9IABIRVBACgCmIEBIRZBACgC3IABIRdBACgC2IABIRhBACgC4IABIRlBACgClIEBIRpBACgC/IABIRtBACgCkIEBIRxBACgC6IABIR1BACgC7IABIR5BACgCyIABIR9BACgCzIABISBBACgC8IABISEDQAJAAkAgECARIiJBf2oiEUECdCIFaigCACIDIBAgIkECdGooAgBrQX1KDQAgEUEDdCEjICAgEUEFdGohJAJAAkAgHiAFaiIDKAIAIgkgAygCBCIlSA0A/QwAAAAAAAAAAAAAAAAAAAAAISZEAAAAAAAAAAAhJ0QAAAAAAAAAACEoRAAAAAAAAAAAISkMAQsgJCsDGCIqICqgIB8gI2orAwAiKyAroqMhLCAqtv0TIS1EAAAAAAAA8D8gJCsDEKG2/RMhLkQAAAAAAADwPyAkKwMIobb9EyEvRAAAAAAAAPA/ICQrAwChtv0TITAgJUF/aiExIBsgBiAdIAVqKAIAIjJsaiENIBsgASASIDJBAnQiBWpsaiEzIBsgASATIAVqbGohNP0MAAAAAAAAAAAAAAAAAAAAACEmQQAhNUQAAAAAAAAAACEpRAAAAAAAAAAAIShEAAAAAAAAAAAhJ/0MAAAAAAAAAAAAAAAAAAAAACI2ITcgNiE4IDYhOSA2IToDQAJAIBwgCUEMbGoiAigCBCACKAIAIgVrIgxBAUgNACAzIAVBAnQiBWohAyA0IAVqIQogDSAFaiEPIBogAigCCCIOQQZ0aiEFIBYgDkEEdGohC0EAIQggFSEOA0AgLSAF/QAEACI7/eYBITwgA/0AAgAhPSAK/QACACE+IA/9AAIAIT8CQAJAIAdFDQAgBUEwav0ABAAhQCAFQSBq/QAEACFBIAVBEGr9AAQAIUIMAQsgOiA8ID395gEgBUEwav0ABAAiQP3mAf3lASE6IDkgPCA+/eYBIAVBIGr9AAQAIkH95gH95QEhOSA4IDwgP/3mASAFQRBq/QAEACJC/eYB/eUBITgLID8gMCA//eYBIAQbIkMgQv3mASA+IC8gPv3mASAEGyI+IEH95gH95AEgPSAuID395gEgBBsiQSBA/eYB/eQBIUQgPCBB/eYBIUAgPCA+/eYBIUEgPCBD/eYBIUICQAJAIARFDQAgDyBDIEL95QH9CwIAIAogPiBB/eUB/QsCAAwBCyAPID8gQv3lAf0LAgAgCiAK/QACACBB/eUB/QsCACAD/QACACE9CyA7IET95gEhPCADID0gQP3lAf0LAgACQCAADQAgC/0ABAAhPSAOIDz9CwIAIEIgOP3kASA4IAQbITggQSA5/eQBIDkgBBshOSBAIDr95AEgOiAEGyE6IAtBEGohCyA3IDwgPf3mAf3kASE3CyA2IDz95AEhNiAOQRBqIQ4gA0EQaiEDIApBEGohCiAPQRBqIQ8gBUHAAGohBSAIQQRqIgggDEgNAAsLAkAgAA0AIAIoAgQgAigCAGsiC0EBSA0AIDK3IUUgFCACKAIIQQR0aiFGQQAhCgNAICEgRiAKQQJ0IgNqIgUoAgAiD0HYAGxqIggrAxAiRyACKAIAIApqtyAIKwMIoSIqoiBFIAgrAwChIkggCCsDGCJJoqEhKyBIIEeiICogSaKgISogCyAKQQFqIg4gCyAOShshDkQAAAAAAAAAACFKRAAAAAAAAPA/IAgrAyAiS6NEAAAAAAAAAAAgS0S7vdfZ33zbPWQbIUwgFSADaiEDRAAAAAAAAAAAIU1EAAAAAAAAAAAhTkQAAAAAAAAAACFPAkADQCAFKAIAIA9HDQEgSiAqIEuhIkhEAAAAAAAAAAAgSEQAAAAAAAAAAGQbIAMqAgC7IkiioCFKIE0gK0QAAAAAAAAAAEQAAAAAAADwPyBMICqiIlAgUEQAAAAAAADwP2QbIFBEAAAAAAAAAABjGyBIoqKgIU0gBUEEaiEFIANBBGohAyBOICpEAAAAAAAAAAAgKkQAAAAAAAAAAGMbIEiioCFOIE8gKyBIoqAhTyBHICugISsgSSAqoCEqIA4gCkEBaiIKRw0ACyAIICwgTyBNIE4gShAEDAILIAggLCBPIE0gTiBKEAQgCiALSA0ACwsCQAJAIAwgNWoiNUGPA0oNACAJIDFIDQELICYgOCA5/Q0EBQYHFBUWFwABAgMAAQID/V8gOCA5/Q0AAQIDEBESEwABAgMAAQID/V/98AEgOP0fArsgOP0fA7ug/RQgOf0fArsgOf0fA7ug/SIB/fAB/fABISYgJyA6/R8AuyA6/R8Bu6AgOv0fArsgOv0fA7ugoKAhJyAoIDf9HwC7IDf9HwG7oCA3/R8CuyA3/R8Du6CgoCEoICkgNv0fALsgNv0fAbugIDb9HwK7IDb9HwO7oKCgISlBACE1/QwAAAAAAAAAAAAAAAAAAAAAIjohOSA6ITggOiE3IDohNgsgMyAGaiEzIDQgBmohNCANIAZqIQ0gMkEBaiEyIAlBAWoiCSAlRw0ACwsgGSAjaiApOQMAIBggI2ogKCAkKwMYIiogKqBE7zn6/kIu5j+iojkDACAXIBFBGGxqIgUgJzkDECAFICb9CwMADAELICAgEUEFdGoiMSsDGCIrICugIB8gEUEDdCIlaisDACIqICqioyEoRFCwgyHMN/M/ICqjISogISADQdgAbGoiCysDICFIICu2/RMhOAJAIARFDQBDAAAAACFRAkAgSES7vdfZ33zbPWRFDQBEAAAAAAAA8D8gKiBIoqO2IVELAkACQCAeIAVqIgMoAgAiDCADKAIEIjVIDQD9DAAAAAAAAAAAAAAAAAAAAAAhUkQAAAAAAAAAACFORAAAAAAAAAAAIU9EAAAAAAAAAAAhR0QAAAAAAAAAACFJRAAAAAAAAAAAIUtEAAAAAAAAAAAhTEQAAAAAAAAAACEnDAELIFH9EyFTIDVBf2ohMiAbIAYgHSAFaigCACICbGohCSAbIAEgEiACQQJ0IgVqbGohDSAbIAEgEyAFamxqITP9DAAAAAAAAAAAAAAAAAAAAAAhUkEAITREAAAAAAAAAAAhJ0QAAAAAAAAAACFMRAAAAAAAAAAAIUtEAAAAAAAAAAAhSUQAAAAAAAAAACFHRAAAAAAAAAAAIU9EAAAAAAAAAAAhTv0MAAAAAAAAAAAAAAAAAAAAACJDIS8gQyEwIEMhNyBDISYgQyFUIEMhVSBDIVYgQyEuA0ACQCAcIAxBDGxqIgUoAgQgBSgCACIDayIIQQFIDQAgKiACtyALKwMAoSJKIAsrAxAiSKIiTSADtyALKwMIoSJQIAhBf2oiDregIAsrAxgiK6KgIAsrAyChorb9EyFXICogK6K2IlFDAACAQJT9EyFYICogSKK2IllDAACAQJT9EyFaIFn9E/0MAAAAAAAAgD8AAABAAABAQCI8/eYBICogUCBIoiBKICuioaK2/RP95AEhOiBR/RMiWyA8/eYBICogTSBQICuioKK2/RP95AEhOSANIANBAnQiD2ohAyAzIA9qIQogCSAPaiEPIBogBSgCCEEGdGohBSA8IA6z/RP95QEhLUEAIQ4DQCAFQTBq/QAEACFAIAVBEGr9AAQAIUEgBUEgav0ABAAhQiAD/QACACE8IAr9AAIAIT0gDyAP/QACACI/ID8gOCAF/QAEACI2/eYBIj795gEiO/3lAf0LAgAgCiA9ID4gPf3mASJE/eUB/QsCACADIDwgPiA8/eYBIj795QH9CwIAIDYgPyBB/eYBID0gQv3mAf3kASA8IED95gH95AH95gEhPAJAIAANACBVIFMgOf3mAf0MAAAAAAAAAAAAAAAAAAAAACI9/esB/QwAAIA/AACAPwAAgD8AAIA//eoBIDogPP3mASI//eYB/eQBIVUgLyA6IDr95gEgOSA9/eoBIkAgVyBbIC395gH95AEgPf3rASI9/eQBIkEgQf3mAf3kASA8/eYB/eQBIS8gLf0MAACAQAAAgEAAAIBAAACAQP3kASEtIFggOf3kASE5IFogOv3kASE6IC4gPv3kASEuIDcgRP3kASE3IDAgO/3kASEwIFYgP/3kASFWIFQgQCA8/eYB/eQBIVQgJiA9IDz95gH95AEhJgsgQyA8/eQBIUMgA0EQaiEDIApBEGohCiAPQRBqIQ8gBUHAAGohBSAOQQRqIg4gCEgNAAsLAkACQCAIIDRqIjRBjwNKDQAgDCAySA0BCyBSIDAgN/0NBAUGBxQVFhcAAQIDAAECA/1fIDAgN/0NAAECAxAREhMAAQIDAAECA/1f/fABIDD9HwK7IDD9HwO7oP0UIDf9HwK7IDf9HwO7oP0iAf3wAf3wASFSIE4gJv0fALsgJv0fAbugICb9HwK7ICb9HwO7oKCgIU4gTyBU/R8AuyBU/R8Bu6AgVP0fArsgVP0fA7ugoKAhTyBHIFX9HwC7IFX9HwG7oCBV/R8CuyBV/R8Du6CgoCFHIEkgVv0fALsgVv0fAbugIFb9HwK7IFb9HwO7oKCgIUkgSyAu/R8AuyAu/R8Bu6AgLv0fArsgLv0fA7ugoKAhSyBMIC/9HwC7IC/9HwG7oCAv/R8CuyAv/R8Du6CgoCFMICcgQ/0fALsgQ/0fAbugIEP9HwK7IEP9HwO7oKCgISdBACE0/QwAAAAAAAAAAAAAAAAAAAAAIi4hViAuIVUgLiFUIC4hJiAuITcgLiEwIC4hLyAuIUMLIA0gBmohDSAzIAZqITMgCSAGaiEJIAJBAWohAiAMQQFqIgwgNUcNAAsLIBkgJWogJzkDACAYICVqIEwgMSsDGCIrICugRO85+v5CLuY/oqI5AwAgFyARQRhsaiIFIEs5AxAgBSBS/QsDACALICggKqMgSSBHIE8gThAEDAELQwAAAAAhUQJAIEhEu73X2d982z1kRQ0ARAAAAAAAAPA/ICogSKKjtiFRCwJAAkAgHiAFaiIDKAIAIgwgAygCBCI1SA0A/QwAAAAAAAAAAAAAAAAAAAAAIVxEAAAAAAAAAAAhTkQAAAAAAAAAACFPRAAAAAAAAAAAIUdEAAAAAAAAAAAhSUQAAAAAAAAAACFLRAAAAAAAAAAAIUxEAAAAAAAAAAAhJwwBC0QAAAAAAADwPyAxKwMQobb9EyEuRAAAAAAAAPA/IDErAwihtv0TIS9EAAAAAAAA8D8gMSsDAKG2/RMhMCBR/RMhXSA1QX9qITIgGyAGIB0gBWooAgAiAmxqIQkgGyABIBIgAkECdCIFamxqIQ0gGyABIBMgBWpsaiEz/QwAAAAAAAAAAAAAAAAAAAAAIVxBACE0RAAAAAAAAAAAISdEAAAAAAAAAAAhTEQAAAAAAAAAACFLRAAAAAAAAAAAIUlEAAAAAAAAAAAhR0QAAAAAAAAAACFPRAAAAAAAAAAAIU79DAAAAAAAAAAAAAAAAAAAAAAiQyE3IEMhJiBDIVQgQyFVIEMhViBDIVcgQyFYIEMhLQNAAkAgHCAMQQxsaiIFKAIEIAUoAgAiA2siCEEBSA0AICogArcgCysDAKEiSiALKwMQIkiiIk0gA7cgCysDCKEiUCAIQX9qIg63oCALKwMYIiuioCALKwMgoaK2/RMhWiAqICuitiJRQwAAgECU/RMhWyAqIEiitiJZQwAAgECU/RMhUyBZ/RP9DAAAAAAAAIA/AAAAQAAAQEAiPP3mASAqIFAgSKIgSiAroqGitv0T/eQBITkgUf0TIlIgPP3mASAqIE0gUCAroqCitv0T/eQBITsgDSADQQJ0Ig9qIQMgMyAPaiEKIAkgD2ohDyAaIAUoAghBBnRqIQUgPCAOs/0T/eUBIURBACEOA0AgOCAF/QAEACJA/eYBITwgA/0AAgAhPyAK/QACACE+IA/9AAIAIT0CQAJAIABFDQAgBUEwav0ABAAhQSAFQSBq/QAEACFCIAVBEGr9AAQAITYMAQsgLSA8ID/95gEgBUEwav0ABAAiQf3mAf3lASEtIFQgPCA+/eYBIAVBIGr9AAQAIkL95gH95QEhVCAmIDwgPf3mASAFQRBq/QAEACI2/eYB/eUBISYLIA8gPSA8IDAgPf3mASI6/eYB/eUB/QsCACAKIAr9AAIAIDwgLyA+/eYBIj395gH95QH9CwIAIAMgA/0AAgAgPCAuID/95gEiP/3mAf3lAf0LAgAgQCA6IDb95gEgPSBC/eYB/eQBID8gQf3mAf3kAf3mASE8AkAgAA0AIFcgXSA7/eYB/QwAAAAAAAAAAAAAAAAAAAAAIj396wH9DAAAgD8AAIA/AACAPwAAgD/96gEgOSA8/eYBIj/95gH95AEhVyA3IDkgOf3mASA7ID396gEiPiBaIFIgRP3mAf3kASA9/esBIj395AEiQCBA/eYB/eQBIDz95gH95AEhNyBE/QwAAIBAAACAQAAAgEAAAIBA/eQBIUQgWyA7/eQBITsgUyA5/eQBITkgWCA//eQBIVggViA+IDz95gH95AEhViBVID0gPP3mAf3kASFVCyBDIDz95AEhQyADQRBqIQMgCkEQaiEKIA9BEGohDyAFQcAAaiEFIA5BBGoiDiAISA0ACwsCQAJAIAggNGoiNEGPA0oNACAMIDJIDQELIFwgJiBU/Q0EBQYHFBUWFwABAgMAAQID/V8gJiBU/Q0AAQIDEBESEwABAgMAAQID/V/98AEgJv0fArsgJv0fA7ug/RQgVP0fArsgVP0fA7ug/SIB/fAB/fABIVwgTiBV/R8AuyBV/R8Bu6AgVf0fArsgVf0fA7ugoKAhTiBPIFb9HwC7IFb9HwG7oCBW/R8CuyBW/R8Du6CgoCFPIEcgV/0fALsgV/0fAbugIFf9HwK7IFf9HwO7oKCgIUcgSSBY/R8AuyBY/R8Bu6AgWP0fArsgWP0fA7ugoKAhSSBLIC39HwC7IC39HwG7oCAt/R8CuyAt/R8Du6CgoCFLIEwgN/0fALsgN/0fAbugIDf9HwK7IDf9HwO7oKCgIUwgJyBD/R8AuyBD/R8Bu6AgQ/0fArsgQ/0fA7ugoKAhJ0EAITT9DAAAAAAAAAAAAAAAAAAAAAAiLSFYIC0hVyAtIVYgLSFVIC0hVCAtISYgLSE3IC0hQwsgDSAGaiENIDMgBmohMyAJIAZqIQkgAkEBaiECIAxBAWoiDCA1Rw0ACwsgGSAlaiAnOQMAIBggJWogTCAxKwMYIisgK6BE7zn6/kIu5j+iojkDACAXIBFBGGxqIgUgSzkDECAFIFz9CwMAIAsgKCAqoyBJIEcgTyBOEAQLICJBAUoNAAsLC9UBAQN/QQAoAuSAASIGIAAoAkBBBHRqIgcgBysDACAAKwMQIAEgBCAEIAWgIAArAyBEu73X2d982z1kIggboiIEoiABIAIgA6GiIgIgACsDGKKhoDkDACAHQQhqIgcgBysDACAEIAArAxiiIAIgACsDEKKgoDkDACAGIAAoAkRBBHRqIgcgBysDACABIAVEAAAAAAAAAAAgCBuiIgUgACsDEKIgASADoiIBIAArAxiioaA5AwAgB0EIaiIHIAcrAwAgBSAAKwMYoiABIAArAxCioKA5AwALKwEBfkEAKQOAgAEhASAArEIChhABIQBBACABNwOAgAFBACAANgKMgQEgAAv1AgsBfAF9An8BfAF/AnsBfwF7AX8BfQF8RAAAAAAAAABAIAC3IgGjtiECQQAhA0EAKAKMgQEhBEQAAAAAAAAAACEFAkAgAEEESA0AIABBAnQhBiAC/RMhB/0MAAAAAAAAAAAAAAAAAAAAACEIRAAAAAAAAAAAIQVBACEDIAQhCQNAIAkgByAJ/QACACAJIAZq/QACAP3lASIK/eYB/QsCACADQQhqIQsgCCAKIAr95gH95AEhCAJAAkAgA0H8AXFFDQAgCyAATA0BCyAFIAj9HwC7IAj9HwG7oCAI/R8CuyAI/R8Du6CgoCEF/QwAAAAAAAAAAAAAAAAAAAAAIQgLIAlBEGohCSADQQRqIQMgCyAATA0ACwsCQCAAIANMDQAgAEECdCEGIAAgA2shCyAEIANBAnRqIQkDQCAJIAkqAgAgCSAGaioCAJMiDCAClDgCACAJQQRqIQkgBSAMuyINIA2ioCEFIAtBf2oiCw0ACwsgBSABowvUBgMRfwF7BH8jAEEQayEEQQAoAoyBASIFIAIgAWwiBiAAbEECdCIHaiIIIANBA3RqQQRqIgkgB2pBEGohCgJAIAYgAyACbCILQQF0akEEaiIMQQFIDQAgCiEHA0AgB0EANgIAIAdBBGohByAMQX9qIgwNAAsLAkAgAEEBSA0AIAJBAnQhDSACIAFsIg5BAnQhDyAKIAtBAnRqIRAgA0EBdCIHQQAgB0EAShtBAWohESAFIRJBACETA0AgECEHIBIhDCAGIQICQCAGQQFIDQADQCAHIAwqAgA4AgAgB0EEaiEHIAxBBGohDCACQX9qIgINAAsgCSATIAZsQQJ0aiEUQQAhASAKIQsDQP0MAAAAAAAAAAAAAAAAAAAAACEVAkAgA0EASA0AIAghByALIQwgESECA0AgFSAM/QACACAH/QkCAP3mAf3kASEVIAdBBGohByAMIA1qIQwgAkF/aiICDQALCyAUIAFBAnRqIBX9CwIAIAtBEGohCyABQQRqIgEgBkgNAAsLIBIgD2ohEiATQQFqIhMgAEcNAAsgBSAOIABsQQJ0IANBAnRqaiEWIABBAnQhCSAOQQJ0IQ0gA0EDdCAFakEEaiEXIAZBAUghGCAFIRlBACEKA0ACQCAYDQAgAyAKIAMgCkgbIgdBf3MhEyAWIAdBAnQiDGshDyAXIA4gCSAMa2xqIQggBSAKIAZsQQJ0aiEQQQAhAiAAIApBf3NqIgwgAyAMIANIGyIBQQAgB2tIIRIgGSERIAYhCwNAIAIhFAJAAkAgEkUNAP0MAAAAAAAAAAAAAAAAAAAAACEVDAEL/QwAAAAAAAAAAAAAAAAAAAAAIRUgDyEHIAghDCATIQIDQCAVIAz9AAIAIAf9CQIA/eYB/eQBIRUgB0EEaiEHIAwgDWohDCACQQFqIgIgAUgNAAsLAkACQCAUQQRqIgIgBkwNACAGIBRMDQFBACEHIBEhDANAIAQgFf0LBAAgDCAEIAdBA3FBAnRyKgIAOAIAIAxBBGohDCALIAdBAWoiB0cNAAwCCwsgECAUQQJ0aiAV/QsCAAsgEUEQaiERIAhBEGohCCALQXxqIQsgAiAGSA0ACwsgGSANaiEZIAlBBGohCSAKQQFqIgogAEcNAAsLCw==';

// This module as a Worker's program.
if (typeof WorkerGlobalScope !== 'undefined' && self instanceof WorkerGlobalScope) {
  const channel = new MessageChannel();
  let called = null;
  channel.port1.onmessage = () => called();
  const hear = server((message, moved = []) => self.postMessage(message, moved), f => { called = f; channel.port2.postMessage(0); }, () => performance.now());
  self.onmessage = e => hear(e.data);
}
