// The loops of engine.js that take the time, once more, for four pixels at once: WebAssembly with 128-bit SIMD. What each
// does is said in engine.js, at the function of the same name; here stands what is done otherwise. `python tests/wasm.py`
// compiles this file and puts the bytes into engine.js. A picture is three planes here, one a channel, its rows `stride`
// apart: four neighbours lie side by side, and behind the last column is room for what the last four have too many.
// Columns behind a span are worked out like those in it: there r < exp(-REACH), which changes nothing.

typedef float f4 __attribute__((vector_size(16)));
typedef int i4 __attribute__((vector_size(16)));
typedef float near4 __attribute__((vector_size(16), aligned(4)));     // four floats anywhere
#define LOAD(p) (*(const near4 *)(p))
#define STORE(p, x) (*(near4 *)(p) = (x))
#define ALWAYS static inline __attribute__((always_inline))
#define NEVER static __attribute__((noinline))
#define EXPORT __attribute__((visibility("default")))
#define MOST 40.f
#define REACH 4.352285049589324                                      // the root of that in engine.js

ALWAYS f4 all(float x) { return (f4){x, x, x, x}; }
ALWAYS f4 least(f4 a, f4 b) { return __builtin_wasm_pmin_f32x4(a, b); }
ALWAYS f4 most(f4 a, f4 b) { return __builtin_wasm_pmax_f32x4(a, b); }
ALWAYS double sum(f4 x) { return ((double)x[0] + x[1]) + ((double)x[2] + x[3]); }
ALWAYS double min(double a, double b) { return a < b ? a : b; }
ALWAYS double max(double a, double b) { return a > b ? a : b; }
ALWAYS double clamp(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

// 2^-x for x >= 0, to 2e-7 of itself: the whole part as bits of the exponent, the rest, -1/2 to 1/2, by a polynomial. Above 40,
// which is out of reach, it is 2^-40: products of smaller ones are numbers that processors are slow with.
ALWAYS f4 half(f4 x) {
  x = least(x, all(MOST));
  f4 z = 12582912.f - x, f = x + (z - 12582912.f);                     // the low bits of z are -x, rounded
  f4 g = f * f, p = (1.f - f * .693146978f) + g * ((.240222421f - f * .0555073374f) + g * (.00967151267f - f * .00132647268f));
  return (f4)((i4)p + ((i4)z << 23));
}

// ---------------------------------------------------------------------------------------------------- memory

extern unsigned char __heap_base;
static unsigned long long used;

// Room for n bytes behind what is used, or 0 where the page has no more.
NEVER void *take(unsigned long long n) {
  if (!used) used = (unsigned long)&__heap_base;
  unsigned long long at = used, have = (unsigned long long)__builtin_wasm_memory_size(0) << 16;
  used = (at + n + 15) & ~15ull;
  if (used > 0xffff0000ull) return 0;
  // a little more than is asked for, so that a drawing that grows a little at a time does not ask each time
  if (used > have && (int)__builtin_wasm_memory_grow(0, (used - have + (have >> 3) + 65535) >> 16) < 0
      && (int)__builtin_wasm_memory_grow(0, (used - have + 65535) >> 16) < 0) return 0;
  return (void *)(unsigned long)at;
}

// See `measure` in engine.js; but a segment goes from the vertex on its left to that on its right.
typedef struct { double ay, ax, uy, ux, length, slope, tilt, reach; int from, to, y0, y1, spans; } Segment;
typedef struct { int left, right; } Span;
typedef struct { int left, right, start; } Row;                                               // start counts fours of pairs

static int height, width, stride, strokes, paint;
static int *offsets, *top, *firstRow, *who;
static double *sigma, *mix, *byWidth, *byColour, *byAlpha, *place, *pull;
static float *picture, *planes, *through, *under, *x, *weight;
static Segment *segments;
static Row *rows;
static Span *spans;                      // of each segment of a stroke of several, its rows' columns
static void *addresses[10];
static unsigned long long drawn;        // what is used before rows and pairs, which each drawing makes anew

// Room for so many strokes with so many vertices; where offsets, sigma, mix, place, the picture and the gradients are.
EXPORT void **begin(int h, int w, int n, int vertices) {
  used = (unsigned long)&__heap_base;
  height = h;
  width = w;
  strokes = n;
  stride = (w + 6) & ~3;
  unsigned long long plane = 4ull * stride * h;
  addresses[0] = offsets = take(4ull * (n + 1));
  addresses[1] = sigma = take(8ull * n);
  addresses[2] = mix = take(32ull * n);
  addresses[3] = place = take(16ull * vertices);
  addresses[4] = picture = take(12ull * h * w);
  addresses[5] = byWidth = take(8ull * n);
  addresses[6] = byColour = take(24ull * n);
  addresses[7] = byAlpha = take(8ull * n);
  addresses[8] = pull = take(16ull * (vertices + 1));
  top = take(4ull * n);
  firstRow = take(4ull * (n + 1));
  segments = take(sizeof(Segment) * (unsigned long long)vertices);
  weight = take(4ull * stride);
  planes = take(3 * plane);
  through = take(3 * plane);
  drawn = used;
  return through ? addresses : 0;
}

// ---------------------------------------------------------------------------------------------------- forward

static void measure(int v, int w, double reach) {
  if (place[2 * w + 1] < place[2 * v + 1]) { int o = v; v = w; w = o; }
  Segment *s = segments + (v < w ? v : w);
  double ay = place[2 * v], ax = place[2 * v + 1], by = place[2 * w], bx = place[2 * w + 1], my = by - ay, mx = bx - ax;
  double length = __builtin_sqrt(my * my + mx * mx), slope = 1 / (my == 0 ? 1e-30 : my), ux = length > 0 ? mx / length : 1;
  *s = (Segment){ay, ax, length > 0 ? my / length : 0, ux, length, slope, reach * ux * __builtin_fabs(slope), reach, v, w, 0, 0, 0};
  int y0 = clamp(__builtin_ceil(min(ay, by) - reach), 0, height), y1 = (int)clamp(__builtin_floor(max(ay, by) + reach), -1, height - 1) + 1;
  if (bx + reach < 0 || ax - reach > width - 1 || y0 >= y1) return;
  s->y0 = y0;
  s->y1 = y1;
}

// `span` for four rows at once: the columns [left, right), which are [width, 0) where none is in reach.
ALWAYS void span(const Segment *s, int row, i4 *left, i4 *right) {
  f4 y = all(row - s->ay) + (f4){0, 1, 2, 3}, zero = all(0), one = all(1), reach = all(s->reach * s->reach);
  f4 middle = y * (float)s->slope, tilt = all(s->tilt), my = all(s->uy * s->length), mx = all(s->ux * s->length), ax = all(s->ax);
  f4 t = least(most(middle - tilt, zero), one), u = least(most(middle + tilt, zero), one), fromT = y - t * my, fromU = y - u * my;
  f4 first = most(ax + t * mx - __builtin_wasm_sqrt_f32x4(most(reach - fromT * fromT, zero)), zero);
  f4 last = least(ax + u * mx + __builtin_wasm_sqrt_f32x4(most(reach - fromU * fromU, zero)), all(width - 1));
  i4 none = (fromT * fromT > reach) | (first > last);
  *left = (none & width) | (~none & __builtin_wasm_trunc_saturate_s_i32x4_f32x4(__builtin_wasm_ceil_f32x4(first)));
  *right = ~none & (__builtin_wasm_trunc_saturate_s_i32x4_f32x4(__builtin_wasm_floor_f32x4(last)) + 1);
}

#define FIRST(n) offsets[n]
#define MANY(n) (offsets[(n) + 1] - offsets[n] - 1)
#define END(n) (MANY(n) > 1 ? offsets[(n) + 1] - 1 : offsets[n] + 1)     // behind the last segment; a point is one, too

// Rows and columns of every stroke, and room for its pairs, unless it is to `keep` them only until the next stroke's: how many
// there are, or -1 without room.
static double plan(int keep) {
  used = drawn;
  int list = 0, some = 0, of = 0;
  unsigned long long fours = 0, room = 0;
  double pairs = 0;
  for (int n = 0; n < strokes; n++) {
    int first = height, last = 0;
    for (int v = FIRST(n); v < END(n); v++) {
      measure(v, v + 1 < offsets[n + 1] ? v + 1 : v, REACH * sigma[n]);
      if (segments[v].y0 == segments[v].y1) continue;
      if (MANY(n) > 1) {
        segments[v].spans = of;
        of += segments[v].y1 - segments[v].y0;
      }
      first = min(first, segments[v].y0);
      last = max(last, segments[v].y1);
    }
    top[n] = first;
    firstRow[n] = list;
    if (last > first) list += last - first;
    some |= MANY(n) > 1;
  }
  firstRow[strokes] = list;
  if (!(rows = take(sizeof(Row) * (unsigned long long)list)) || !(spans = take(sizeof(Span) * (unsigned long long)of))) return -1;
  for (int n = 0; n < strokes; n++) {
    Row *r = rows + firstRow[n], *end = rows + firstRow[n + 1];
    for (Row *o = r; o < end; o++) *o = (Row){width, 0, 0};
    for (int v = FIRST(n); v < END(n); v++) {
      const Segment *g = segments + v;
      Row *o = r + g->y0 - top[n];
      Span *kept = spans + g->spans;
      for (int y = g->y0; y < g->y1; y += 4) {
        i4 left, right;
        span(g, y, &left, &right);
        for (int k = 0; k < 4 && y + k < g->y1; k++, o++, kept++) {
          if (left[k] < o->left) o->left = left[k];
          if (right[k] > o->right) o->right = right[k];
          if (MANY(n) > 1) *kept = (Span){left[k], right[k]};
        }
      }
    }
    for (Row *o = r; o < end; o++) {
      o->start = fours;
      if (o->right <= o->left) o->left = o->right = 0;
      pairs += o->right - o->left;
      fours += (o->right - o->left + 3) >> 2;
    }
    if (fours > room) room = fours;
    if (!keep) fours = 0;
  }
  if (!(under = take(64 * room)) || (some && (!(x = take(16 * room)) || !(who = take(16 * room))))) return -1;
  return pairs;
}

// A row of a segment from column c to column c + last, lengths in units where ink is 2^-(squared distance): how far each pixel is
// beside the line, along from its start, and past its end. These two are counted from the side of the row where they are small,
// so that single precision is enough.
typedef struct { f4 beside, along, past, end, byBeside, byAlong, byPast; } Line;

ALWAYS double unit(int n) { return 1.2011224087864498 / sigma[n]; }         // the root of 1/ln 2

ALWAYS Line line(const Segment *s, int y, int c, int last, double by) {
  double dy = y - s->ay, dx = c - s->ax;
  f4 i = {0, 1, 2, 3}, uy = all(by * s->uy), ux = all(by * s->ux);
  return (Line){all(by * (dx * s->uy - dy * s->ux)) + i * uy, all(by * (dy * s->uy + dx * s->ux)) + i * ux, i - (float)last,
                all(by * (dy * s->uy + (dx + last) * s->ux - s->length)), uy * 4.f, ux * 4.f, ux};
}

typedef struct { f4 beside, along, before, behind, d; } Place;

ALWAYS Place next(Line *o) {
  Place p = {o->beside, o->along, least(o->along, all(0)), most(o->end + o->past * o->byPast, all(0)), all(0)};
  f4 beyond = p.before + p.behind;
  p.d = p.beside * p.beside + beyond * beyond;
  o->beside += o->byBeside;
  o->along += o->byAlong;
  o->past += 4.f;
  return p;
}

// The distance of each pair of a stroke of several segments, and the segment that is nearest.
static void distances(int n) {
  Row *r = rows + firstRow[n], *end = rows + firstRow[n + 1];
  f4 *xs = (f4 *)x;
  i4 *whose = (i4 *)who;
  if (r == end) return;
  for (int b = r->start, e = end[-1].start + ((end[-1].right - end[-1].left + 3) >> 2); b < e; b++) {
    xs[b] = all(MOST);
    whose[b] = (i4){FIRST(n), FIRST(n), FIRST(n), FIRST(n)};
  }
  for (int v = FIRST(n); v < END(n); v++) {
    const Segment *s = segments + v;
    i4 me = {v, v, v, v};
    for (int y = s->y0; y < s->y1; y++) {
      int left = spans[s->spans + y - s->y0].left, right = spans[s->spans + y - s->y0].right;
      if (left >= right) continue;
      const Row *o = r + y - top[n];
      int b = (left - o->left) >> 2, e = (right - o->left + 3) >> 2;
      Line at = line(s, y, o->left + 4 * b, right - 1 - o->left - 4 * b, unit(n));
      for (b += o->start, e += o->start; b < e; b++) {
        f4 d = next(&at).d, old = xs[b];
        i4 nearer = d < old, was = whose[b];
        xs[b] = least(old, d);
        whose[b] = (nearer & me) | (~nearer & was);
      }
    }
  }
}

// Ink is paint, too: black, each channel with an opacity of its own, which is a k. Four numbers of each pair are kept: r,
// and in each channel c minus what lies under it. `alone` (one segment) and `painted` are known where this is compiled.
ALWAYS void lay(int n, int alone, int painted) {
  const Segment *s = segments + FIRST(n);
  const double *m = mix + 4 * n;
  f4 a = all(m[3]), c0 = all(painted ? m[0] : 0), c1 = all(painted ? m[1] : 0), c2 = all(painted ? m[2] : 0);
  f4 k0 = all(1 - m[0]), k1 = all(1 - m[1]), k2 = all(1 - m[2]);
  for (int q = firstRow[n], y = top[n]; q < firstRow[n + 1]; q++, y++) {
    const Row *o = rows + q;
    int many = o->right - o->left, plane = height * stride;
    float *p = planes + y * stride + o->left;
    f4 *kept = (f4 *)under + 4 * o->start, *xs = (f4 *)x + o->start;
    Line at = line(s, y, o->left, many - 1, unit(n));
    for (int b = 0; b < many; b += 4, p += 4, kept += 4) {
      f4 r = half(alone ? next(&at).d : *xs++), t = a * r;
      f4 i0 = LOAD(p), i1 = LOAD(p + plane), i2 = LOAD(p + 2 * plane);
      f4 v0 = c0 - i0, v1 = c1 - i1, v2 = c2 - i2;
      kept[0] = r;
      kept[1] = v0;
      kept[2] = v1;
      kept[3] = v2;
      STORE(p, i0 + t * (painted ? v0 : k0 * v0));
      STORE(p + plane, i1 + t * (painted ? v1 : k1 * v1));
      STORE(p + 2 * plane, i2 + t * (painted ? v2 : k2 * v2));
    }
  }
}

// The strokes on paper; the number of pairs, or -1 where the page has no room for them.
EXPORT double draw(int painted, int keep, float red, float green, float blue) {
  const float paper[3] = {red, green, blue};
  double pairs = plan(keep);
  if (pairs < 0) return pairs;
  paint = painted;
  for (int h = 0; h < 3; h++) for (int k = 0; k < height * stride; k++) planes[h * height * stride + k] = paper[h];
  for (int n = 0; n < strokes; n++) {
    if (MANY(n) > 1) {
      distances(n);
      lay(n, 0, paint);
    } else if (paint) lay(n, 1, 1); else lay(n, 1, 0);
  }
  for (int y = 0; y < height; y++) for (int c = 0; c < width; c++) for (int h = 0; h < 3; h++) {
    picture[3 * (y * width + c) + h] = planes[(h * height + y) * stride + c];
  }
  return pairs;
}

// ---------------------------------------------------------------------------------------------------- backward

// The pull of a segment's pixels on its ends: sums in coordinates along and beside it.
NEVER void pullBy(const Segment *s, double scale, double beside, double part, double before, double behind) {
  if (!(s->length > 1e-10)) { before += behind; behind = 0; }
  double beside0 = scale * (beside - part);
  before *= scale;
  part *= scale;
  behind *= scale;
  pull[2 * s->from] += before * s->uy - beside0 * s->ux;
  pull[2 * s->from + 1] += before * s->ux + beside0 * s->uy;
  pull[2 * s->to] += behind * s->uy - part * s->ux;
  pull[2 * s->to + 1] += behind * s->ux + part * s->uy;
}

// A row of a stroke of several segments: runs of pixels that are nearest to the same one.
static void pullRow(const Row *o, int y, double scale) {
  const int *near = who + 4 * o->start;
  for (int i = 0, many = o->right - o->left; i < many;) {
    int v = near[i];
    const Segment *s = segments + v;
    double per = s->length > 1e-10 ? 1 / s->length : 0, dy = y - s->ay, dx = o->left + i - s->ax;
    double along = dy * s->uy + dx * s->ux, beside = dx * s->uy - dy * s->ux, all = 0, before = 0, part = 0, behind = 0;
    for (; i < many && near[i] == v; i++, along += s->ux, beside += s->uy) {
      double w = weight[i];
      all += w * beside;
      part += w * clamp(along * per, 0, 1) * beside;
      before += w * min(along, 0);
      behind += w * max(along - s->length, 0);
    }
    pullBy(s, scale, all, part, before, behind);
  }
}

// `lift` and, where the stroke is one segment, `pullEnds` in one go. Sums are in single precision for some rows, and then in double.
ALWAYS void lift(int n, int alone, int painted, int only) {
  const Segment *s = segments + FIRST(n);
  const double *m = mix + 4 * n, by = unit(n), scale = 2 * m[3] / (sigma[n] * sigma[n]);
  double byR = 0, byX = 0, by0 = 0, by1 = 0, by2 = 0, beside = 0, part = 0, before = 0, behind = 0;
  f4 zero = all(0), a = all(m[3]), per = all(s->length > 1e-10 ? 1 / (s->length * by) : 0), k0 = all(1 - m[0]), k1 = all(1 - m[1]), k2 = all(1 - m[2]);
  f4 sumR = zero, sumX = zero, sum0 = zero, sum1 = zero, sum2 = zero, sumBeside = zero, sumPart = zero, sumBefore = zero, sumBehind = zero;
  for (int q = firstRow[n], y = top[n], end = firstRow[n + 1], since = 0; q < end; q++, y++) {
    const Row *o = rows + q;
    int many = o->right - o->left;
    float *g = through + y * stride + o->left, *h = g + height * stride, *i = h + height * stride;
    const f4 *u = (f4 *)under + 4 * o->start, *xs = (f4 *)x + o->start;
    Line at = line(s, y, o->left, many - 1, by);
    for (int b = 0; b < many; b += 4, u += 4) {
      f4 r = u[0], t = a * r, g0 = LOAD(g + b), g1 = LOAD(h + b), g2 = LOAD(i + b);
      if (!painted && !only) {
        sum0 -= t * g0 * u[1];
        sum1 -= t * g1 * u[2];
        sum2 -= t * g2 * u[3];
      }
      if (!painted) {
        g0 *= k0;
        g1 *= k1;
        g2 *= k2;
      }
      f4 w = r * (g0 * u[1] + g1 * u[2] + g2 * u[3]), t0 = t * g0, t1 = t * g1, t2 = t * g2;
      STORE(g + b, (painted ? g0 : LOAD(g + b)) - t0);
      STORE(h + b, (painted ? g1 : LOAD(h + b)) - t1);
      STORE(i + b, (painted ? g2 : LOAD(i + b)) - t2);
      sumR += w;
      if (only) continue;
      if (painted) {
        sum0 += t0;
        sum1 += t1;
        sum2 += t2;
      }
      if (alone) {
        Place p = next(&at);
        f4 e = w * p.beside;
        sumX += w * p.d;
        sumBeside += e;
        sumPart += e * least(most(p.along * per, zero), all(1));
        sumBefore += w * p.before;
        sumBehind += w * p.behind;
      } else {
        sumX += w * *xs++;
        STORE(weight + b, w);
      }
    }
    if (!alone && !only) pullRow(o, y, scale);
    since += many;
    if (since < 400 && q < end - 1) continue;
    since = 0;
    byR += sum(sumR);
    byX += sum(sumX);
    by0 += sum(sum0);
    by1 += sum(sum1);
    by2 += sum(sum2);
    beside += sum(sumBeside);
    part += sum(sumPart);
    before += sum(sumBefore);
    behind += sum(sumBehind);
    sumR = sumX = sum0 = sum1 = sum2 = sumBeside = sumPart = sumBefore = sumBehind = zero;
  }
  byAlpha[n] = byR;
  byWidth[n] = 2 * m[3] * .6931471805599453 * byX;
  byColour[3 * n] = by0;
  byColour[3 * n + 1] = by1;
  byColour[3 * n + 2] = by2;
  if (alone) pullBy(s, scale / by, beside, part, before, behind);
}

// From dL/dpicture, which stands where the picture stood; `only` by opacities.
EXPORT void backward(int only) {
  for (int k = 0; k < 3 * height * stride; k++) through[k] = 0;
  for (int y = 0; y < height; y++) for (int c = 0; c < width; c++) for (int h = 0; h < 3; h++) {
    through[(h * height + y) * stride + c] = picture[3 * (y * width + c) + h];
  }
  for (int k = 0, end = 2 * offsets[strokes]; k < end; k++) pull[k] = 0;
  for (int n = strokes - 1; n >= 0; n--) {
    if (MANY(n) > 1) lift(n, 0, paint, only); else if (paint) lift(n, 1, 1, only); else lift(n, 1, 0, only);
  }
}

// ---------------------------------------------------------------------------------------------------- losses

static float *given;

// Room for n numbers behind the drawing, until the next one is drawn.
EXPORT float *lend(int n) {
  unsigned long long before = used;
  given = take(4ull * n);
  used = before;
  return given;
}

// Here stand a picture, which becomes the gradient, and the target: n numbers each.
EXPORT double mse(int n) {
  const float *target = given + n, scale = 2. / n;
  double all = 0;
  int k = 0;
  for (f4 part = {0, 0, 0, 0}; k + 4 <= n; k += 4) {
    f4 e = LOAD(given + k) - LOAD(target + k);
    part += e * e;
    STORE(given + k, e * scale);
    if (k & 252 && k + 8 <= n) continue;
    all += sum(part);
    part = (f4){0, 0, 0, 0};
  }
  for (; k < n; k++) {
    float e = given[k] - target[k];
    all += (double)e * e;
    given[k] = e * scale;
  }
  return all / n;
}

// Here stand numbers [h, w, channels], which are blurred along the rows and then along the columns, and the 2 r + 1 taps; behind
// them is as much room again, and for one padded row.
EXPORT void blur(int h, int w, int channels, int r) {
  int row = w * channels, n = h * row, edge = r * channels;
  const float *taps = given + n;
  float *between = given + n + 2 * r + 1, *padded = between + n + 4;
  for (int k = 0; k < row + 2 * edge + 4; k++) padded[k] = 0;
  for (int y = 0; y < h; y++) {
    for (int k = 0; k < row; k++) padded[edge + k] = given[y * row + k];
    for (int k = 0; k < row; k += 4) {
      f4 all = {0, 0, 0, 0};
      for (int j = 0; j <= 2 * r; j++) all += taps[j] * LOAD(padded + k + j * channels);
      STORE(between + y * row + k, all);
    }
  }
  for (int y = 0; y < h; y++) {
    int first = y < r ? -y : -r, last = h - 1 - y < r ? h - 1 - y : r;
    for (int k = 0; k < row; k += 4) {
      f4 all = {0, 0, 0, 0};
      for (int j = first; j <= last; j++) all += taps[r + j] * LOAD(between + (y + j) * row + k);
      if (k + 4 <= row) STORE(given + y * row + k, all);
      else for (int i = 0; i < row - k; i++) given[y * row + k + i] = all[i];
    }
  }
}
