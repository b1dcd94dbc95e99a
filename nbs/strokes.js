// A stroke that a hand can move, drawn in the browser as dsketch_nb draws it. One module for JupyterLab, through anywidget,
// and for a page with no kernel: <script type="module" src="strokes.js"></script> wakes every element that has data-strokes,
// and every row of pictures, data-frames, which gets a slider and, if it is a film, a button that plays it.
// Positions are [row, col] in grid units: the centres of the first and the last row stand at -1 and 1, pixels are square.

const STYLE = `
.strokes { max-width: 100%; font-family: var(--jp-ui-font-family, sans-serif); color: var(--jp-ui-font-color1, inherit); }
.strokes-stage { position: relative; box-sizing: border-box; max-width: 100%; line-height: 0; border: 1px solid #b3b3b3; background: #fff; }
.strokes-stage canvas { width: 100%; image-rendering: pixelated; }
.strokes-stage svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; }
/* display: touch-action has no effect on an inline element, and a <g> is one; without it the page scrolls and takes the finger away */
.strokes-handle { display: block; cursor: grab; touch-action: none; outline: none; }
.strokes-handle .dot { fill: #d1332e; fill-opacity: .85; stroke: #fff; stroke-width: 1.5; }
.strokes-handle .ring { fill: transparent; stroke: none; }
.strokes-handle:hover .dot { fill-opacity: 1; }
.strokes-handle:focus .ring { stroke: #1f5fa8; stroke-width: 3; }
.strokes-frame { fill: none; stroke: #d1332e; stroke-opacity: .5; stroke-dasharray: 3 3; }
.strokes-arrow { stroke: #e07b00; stroke-width: 3; fill: none; stroke-linecap: round; stroke-linejoin: round; pointer-events: none; }
.strokes-controls { display: flex; flex-wrap: wrap; gap: .3em 1.2em; align-items: center; padding: .4em 0; font-size: 13px; }
.strokes-controls label { display: inline-flex; gap: .5em; align-items: center; }
.strokes-controls input { width: 160px; }
.strokes-controls button, .strokes-controls select { font: inherit; color: inherit; background: transparent; border: 1px solid; border-radius: 3px; padding: .15em .6em; }
.strokes-controls option { color: #000; background: #fff; }
.strokes-frames img { display: block; max-width: 100%; box-sizing: border-box; border: 1px solid #b3b3b3; background: #fff; }
.strokes-frames input { flex: 1 1 160px; max-width: 320px; }
.strokes-note { margin: .2em 0 0; font-size: 13px; opacity: .85; }
.strokes-controls b { font-weight: normal; min-width: 2em; }
.strokes-caption { margin: 0; font-size: 13px; line-height: 1.4; min-height: 1.4em; }
.strokes-caption:empty { display: none; }`;

const NAMES = { segment: 'segment', polyline: 'polyline', quadratic: 'quadratic Bézier', cubic: 'cubic Bézier', catmull_rom: 'Catmull-Rom' };
const lerp = (a, b, t) => a.map((x, i) => x + (b[i] - x) * t);
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

export const pitch = ([h, w]) => 2 / Math.max((h > 1 ? h : w > 1 ? w : 2) - 1, 1);

// de Casteljau: mix neighbours until one point is left
function bezier(points, t) {
  while (points.length > 1) points = points.slice(1).map((b, i) => lerp(points[i], b, t));
  return points[0];
}

// one centripetal span from the 2nd point to the 3rd, by the pyramid of Barry and Goldman
function catmullRom([p0, p1, p2, p3], t) {
  const knot = (a, b) => Math.max((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2, 1e-12) ** .25;
  const k0 = knot(p0, p1), k1 = knot(p1, p2), k2 = knot(p2, p3), u = t * k1;
  return [0, 1].map(i => {
    const a1 = p1[i] + u * (p1[i] - p0[i]) / k0, a2 = (1 - t) * p1[i] + t * p2[i], a3 = p2[i] + (u - k1) * (p3[i] - p2[i]) / k2;
    const b1 = ((k1 - u) * a1 + (u + k0) * a2) / (k0 + k1), b2 = ((k1 + k2 - u) * a2 + u * a3) / (k1 + k2);
    return (1 - t) * b1 + t * b2;
  });
}

// control points -> the vertices of a polyline
export function vertices(points, kind, chords = 16) {
  const [f, span, step] = { quadratic: [bezier, 3, 2], cubic: [bezier, 4, 3], catmull_rom: [catmullRom, 4, 1] }[kind] ?? [];
  if (!f || points.length < span) return points;
  const out = [f(points.slice(0, span), 0)];
  for (let i = 0; i + span <= points.length; i += step)
    for (let j = 1; j <= chords; j++) out.push(f(points.slice(i, i + span), j / chords));
  return out;
}

// For every pixel k: the least squared distance to the polyline, the part i that attains it, the foot's place t on it, and the way [dr, dc] to it.
function eachPixel(line, [h, w], f) {
  const p = pitch([h, w]), parts = line.length > 1 ? line.slice(1).map((b, i) => [line[i], b]) : line.map(a => [a, a]);
  for (let y = 0, k = 0; y < h; y++) for (let x = 0; x < w; x++, k++) {
    const r = (y - (h - 1) / 2) * p, c = (x - (w - 1) / 2) * p;
    let least = Infinity, part = 0, foot = 0, dr = 0, dc = 0;
    for (let i = 0; i < parts.length; i++) {
      const [[ar, ac], [br, bc]] = parts[i], mr = br - ar, mc = bc - ac;
      const t = clamp(((r - ar) * mr + (c - ac) * mc) / Math.max(mr * mr + mc * mc, 1e-20), 0, 1);
      const vr = ar + t * mr - r, vc = ac + t * mc - c, d2 = vr * vr + vc * vc;
      if (d2 < least) [least, part, foot, dr, dc] = [d2, i, t, vr, vc];
    }
    f(k, least, part, foot, dr, dc);
  }
}

// exp(-d2/sigma2) at every pixel; sigma in pixels
export function ink(line, size, sigma) {
  const s2 = (sigma * pitch(size)) ** 2, out = new Float32Array(size[0] * size[1]);
  eachPixel(line, size, (k, d2) => { out[k] = Math.exp(-d2 / s2); });
  return out;
}

// The mean squared error of a stroke against ink, and its gradient at each control point, by the chain rule: pixels -> vertices -> points.
// d2's own derivative in t is 0 at the foot, so t may be held fixed (the envelope theorem).
export function gradient(points, kind, goal, size, sigma) {
  const line = vertices(points, kind), s2 = (sigma * pitch(size)) ** 2, n = size[0] * size[1], g = line.map(() => [0, 0]);
  let error = 0;
  eachPixel(line, size, (k, d2, i, t, dr, dc) => {
    const r = Math.exp(-d2 / s2), e = r - goal[k], u = -2 * e * r / s2 / n;
    error += e * e / n;
    [[i, 1 - t], [i + 1, t]].forEach(([j, share]) => { if (share) { g[j][0] += u * 2 * share * dr; g[j][1] += u * 2 * share * dc; } });
  });
  const tiny = 1e-5, along = (i, c) => {                        // the vertices are smooth and cheap: differences will do
    const [up, down] = [tiny, -tiny].map(d => vertices(points.map((q, j) => j === i ? q.map((x, m) => m === c ? x + d : x) : q), kind));
    return g.reduce((sum, [gr, gc], k) => sum + gr * (up[k][0] - down[k][0]) + gc * (up[k][1] - down[k][1]), 0) / (2 * tiny);
  };
  return [error, points.map((_, i) => [along(i, 0), along(i, 1)])];
}

const goals = new WeakMap();                                   // the target's ink, remembered until sigma changes
function goal(model) {
  const key = JSON.stringify(['target', 'size', 'sigma'].map(k => model.get(k)));
  if (goals.get(model)?.key !== key) goals.set(model, { key, ink: ink(model.get('target'), model.get('size'), model.get('sigma')) });
  return goals.get(model).ink;
}

function paint(canvas, model) {
  const [h, w] = model.get('size'), sigma = model.get('sigma'), aim = model.get('target');
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const stroke = ink(vertices(model.get('points'), model.get('kind')), [h, w], sigma), target = aim.length ? goal(model) : null;
  const image = new ImageData(w, h), cover = [.55, .3, .05];
  for (let k = 0; k < h * w; k++) {
    for (let c = 0; c < 3; c++) image.data[4 * k + c] = Math.round(255 * (1 - .9 * stroke[k]) * (target ? 1 - cover[c] * target[k] : 1));
    image.data[4 * k + 3] = 255;
  }
  canvas.getContext('2d').putImageData(image, 0, 0);
}

function add(parent, name, attributes = {}, text) {
  const svg = ['svg', 'g', 'circle', 'path'].includes(name);
  const node = svg ? document.createElementNS('http://www.w3.org/2000/svg', name) : document.createElement(name);
  for (const [k, v] of Object.entries(attributes)) node.setAttribute(k, v);
  // JupyterLab would take arrows and Space for itself, but for this attribute on the very element that has the focus
  if (['input', 'select', 'button'].includes(name) || 'tabindex' in attributes) node.setAttribute('data-lm-suppress-shortcuts', 'true');
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

function render({ model, el }) {
  const wide = model.get('width'), start = { ...model.get('choices'), [model.get('kind')]: model.get('points') }, kept = {};
  const root = add(el, 'div', { class: 'strokes', role: 'group', 'aria-label': model.get('label') });
  add(root, 'style', {}, STYLE);
  const stage = add(root, 'div', { class: 'strokes-stage', style: `width: ${wide}px` });
  const canvas = add(stage, 'canvas', { role: 'img', 'aria-label': model.get('label') });
  const svg = add(stage, 'svg', { role: 'group', 'aria-label': 'control points' }), frame = add(svg, 'path', { class: 'strokes-frame' }), pulls = add(svg, 'g'), dots = add(svg, 'g');
  const controls = add(root, 'div', { class: 'strokes-controls' });
  const caption = add(root, 'p', { class: 'strokes-caption', role: 'status' });

  const zoom = () => wide / model.get('size')[1];
  const toScreen = ([r, c]) => {
    const [h, w] = model.get('size'), p = pitch([h, w]);
    return [(c / p + w / 2) * zoom(), (r / p + h / 2) * zoom()];
  };
  const inside = ([r, c]) => {
    const [h, w] = model.get('size'), p = pitch([h, w]);
    return [clamp(r, -(h - 1) / 2 * p, (h - 1) / 2 * p), clamp(c, -(w - 1) / 2 * p, (w - 1) / 2 * p)];
  };
  const move = (i, to) => {
    model.set('points', model.get('points').map((q, j) => j === i ? inside(to) : q));
    model.save_changes();
  };

  function handle(i) {
    const g = add(dots, 'g', { class: 'strokes-handle', tabindex: 0, role: 'slider', 'aria-roledescription': 'movable point' });
    add(g, 'circle', { class: 'ring', r: 16 });
    add(g, 'circle', { class: 'dot', r: 7 });
    const under = e => {
      const box = svg.getBoundingClientRect(), [h, w] = model.get('size'), p = pitch([h, w]);
      return [((e.clientY - box.top) / box.height - .5) * h * p, ((e.clientX - box.left) / box.width - .5) * w * p];
    };
    let grip = [0, 0];                                          // where on the handle the hand took hold
    g.addEventListener('pointerdown', e => {
      g.setPointerCapture(e.pointerId);
      grip = under(e).map((x, k) => model.get('points')[i][k] - x);
      g.focus();
      e.preventDefault();
    });
    g.addEventListener('pointermove', e => { if (g.hasPointerCapture(e.pointerId)) move(i, under(e).map((x, k) => x + grip[k])); });
    g.addEventListener('keydown', e => {
      const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[e.key];
      if (!way || e.altKey || e.ctrlKey || e.metaKey) return;
      e.preventDefault();
      e.stopPropagation();
      const step = pitch(model.get('size')) * (e.shiftKey ? 5 : 1);
      move(i, model.get('points')[i].map((x, k) => x + step * way[k]));
    });
  }

  function arrow([x, y], [dx, dy]) {
    const n = Math.hypot(dx, dy);
    if (n < 2) return;
    const [ux, uy] = [dx / n, dy / n], b = Math.min(9, n), side = s => `${x + dx - b * ux + s * b / 2 * uy} ${y + dy - b * uy - s * b / 2 * ux}`;
    add(pulls, 'path', { class: 'strokes-arrow', d: `M${x} ${y}L${x + dx} ${y + dy}M${side(1)}L${x + dx} ${y + dy}L${side(-1)}` });
  }

  function draw() {
    const points = model.get('points'), arrows = model.get('arrows'), [h, w] = model.get('size'), p = pitch([h, w]), at = points.map(toScreen);
    svg.setAttribute('viewBox', `0 0 ${wide} ${h * zoom()}`);
    paint(canvas, model);
    while (dots.children.length > points.length) dots.lastChild.remove();
    for (let i = dots.children.length; i < points.length; i++) handle(i);
    points.forEach(([r, c], i) => {
      const g = dots.children[i];
      g.setAttribute('transform', `translate(${at[i]})`);
      g.setAttribute('aria-label', `control point ${i + 1} of ${points.length}, moved by the arrow keys`);
      g.setAttribute('aria-valuenow', r.toFixed(3));
      g.setAttribute('aria-valuetext', `row ${r.toFixed(2)}, column ${c.toFixed(2)}`);
    });
    frame.setAttribute('d', ['quadratic', 'cubic', 'catmull_rom'].includes(model.get('kind')) ? 'M' + at.map(q => q.join(' ')).join('L') : '');
    pulls.replaceChildren();
    if (arrows.length === points.length) arrows.forEach(([dr, dc], i) => arrow(at[i], [dc / p * zoom(), dr / p * zoom()]));
    caption.textContent = model.get('caption');
    width.value = model.get('sigma');
    width.setAttribute('aria-valuetext', `${model.get('sigma').toFixed(1)} pixels`);
    reading.textContent = model.get('sigma').toFixed(1);
    if (choice) choice.value = model.get('kind');
  }
  let waiting = 0;
  const later = () => { waiting ||= requestAnimationFrame(() => { waiting = 0; draw(); }); };

  const choices = model.get('choices');
  let choice = null;
  if (Object.keys(choices).length > 1) {
    choice = add(add(controls, 'label', {}, 'curve'), 'select', { 'aria-label': 'curve' });
    for (const k of Object.keys(choices)) add(choice, 'option', { value: k }, NAMES[k]);
    choice.addEventListener('change', () => {
      kept[model.get('kind')] = model.get('points');
      model.set('arrows', []);
      model.set('points', kept[choice.value] ?? choices[choice.value]);
      model.set('kind', choice.value);
      model.save_changes();
    });
  }
  const sigma = add(controls, 'label', {}, 'sigma (pixels)');
  const width = add(sigma, 'input', { type: 'range', min: .3, max: 12, step: .1, 'aria-label': 'sigma, the width of the stroke in pixels' });
  const reading = add(sigma, 'b');                                     // the slider itself says its value
  width.addEventListener('input', () => { model.set('sigma', Number(width.value)); model.save_changes(); });

  const again = add(controls, 'button', { type: 'button' }, 'start again');
  again.addEventListener('click', () => { model.set('points', start[model.get('kind')]); model.save_changes(); });

  const heard = ['points', 'kind', 'sigma', 'size', 'target', 'arrows', 'caption'].map(k => `change:${k}`);
  heard.forEach(k => model.on(k, later));
  draw();
  return () => { heard.forEach(k => model.off(k, later)); cancelAnimationFrame(waiting); };
}

// What anywidget's model does, for a page with no kernel. The gradient of the squared error we know ourselves; any other answer goes once something moves.
function alone(state) {
  const heard = {}, get = k => state[k];
  const set = (k, v) => { state[k] = v; (heard[`change:${k}`] ?? []).forEach(f => f()); };
  const model = { get, set, on: (k, f) => (heard[k] ??= []).push(f), off: () => {}, save_changes: () => {
    if (!(state.gain && state.target.length)) { set('arrows', []); set('caption', ''); return; }
    const [error, g] = gradient(state.points, state.kind, goal(model), state.size, state.sigma);
    set('arrows', g.map(v => v.map(x => -state.gain * x)));
    set('caption', `squared error ${error.toFixed(4)}`);
  } };
  return model;
}

export function wake(el) {
  const state = JSON.parse(el.dataset.strokes);
  delete el.dataset.strokes;
  el.replaceChildren();
  render({ model: alone(state), el });
}

// Pictures in a row, with no kernel: a slider goes through them; with `fps`, a button plays them.
export function wakeFrames(el) {
  const { frames, captions, label, name, at, fps, note } = JSON.parse(el.dataset.frames), last = frames.length - 1;
  delete el.dataset.frames;
  el.replaceChildren();
  const root = add(el, 'div', { class: 'strokes strokes-frames', role: 'group', 'aria-label': label });
  add(root, 'style', {}, STYLE);
  const img = add(root, 'img'), controls = add(root, 'div', { class: 'strokes-controls' });
  const button = fps ? add(controls, 'button', { type: 'button' }) : null;
  const slider = add(add(controls, 'label', {}, name), 'input', { type: 'range', min: 0, max: last, step: 1, 'aria-label': name });
  const caption = add(root, 'p', { class: 'strokes-caption', role: 'status' });
  if (note) add(root, 'p', { class: 'strokes-note' }, note);
  let index = at, timer = null;
  const show = i => {
    index = i;
    [img.src, img.alt, slider.value, caption.textContent] = [frames[i], `${label}: ${captions[i]}`, i, captions[i]];
    slider.setAttribute('aria-valuetext', captions[i]);
  };
  const play = on => {
    clearInterval(timer);
    timer = on ? setInterval(() => { if (index < last) show(index + 1); else play(false); }, 1000 / fps) : null;
    if (button) button.textContent = on ? 'pause' : 'play';
  };
  button?.addEventListener('click', () => { if (!timer && index === last) show(0); play(!timer); });
  slider.addEventListener('input', () => { play(false); show(Number(slider.value)); });
  play(false);
  show(index);
}

document.querySelectorAll('[data-strokes]').forEach(wake);
document.querySelectorAll('[data-frames]').forEach(wakeFrames);

export default { render };
