// Strokes that find their places: the picture and its controls. What computes is asked by messages: a Worker that runs
// engine.js, or a kernel that runs Python (dsketch_nb.live). One module for JupyterLab, through anywidget; for a page with no
// kernel, where it wakes every element that has data-fit; and for a single file on a stick. Nothing is fetched from elsewhere.

const STYLE = `
.fit { container-type: inline-size; box-sizing: border-box; max-width: 100%; font: 14px/1.35 var(--jp-ui-font-family, system-ui, sans-serif); color: var(--jp-ui-font-color1, inherit); }
.fit * { box-sizing: border-box; }
.fit-parts { display: flex; flex-wrap: wrap; gap: .8em 1.2em; align-items: flex-start; }
.fit-stage { position: relative; flex: none; width: min(100%, calc((100vh - 6em) * var(--ratio, 1.5))); line-height: 0; border: 1px solid #8886; background: #fff; outline-offset: 2px; }
.fit-stage canvas { width: 100%; touch-action: pinch-zoom; cursor: grab; }
.fit-stage svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; pointer-events: none; }
.fit-target { position: absolute; right: 4px; top: 4px; width: 18%; border: 1px solid #fff; box-shadow: 0 0 3px #0008; }
.fit-over { outline: 3px dashed #3182bd; }
.fit-path { fill: none; stroke: #d1332e; stroke-dasharray: 4 3; vector-effect: non-scaling-stroke; stroke-width: 2; }
.fit-dot { fill: #d1332e; stroke: #fff; stroke-width: 2; vector-effect: non-scaling-stroke; cursor: grab; pointer-events: auto; touch-action: none; outline: none; }
.fit-dot:focus-visible { stroke: #1f5fa8; stroke-width: 5; }
.fit-side { flex: 1 1 16em; min-width: 0; display: flex; flex-direction: column; gap: .5em; }
.fit-row { display: flex; flex-wrap: wrap; gap: .4em; align-items: center; }
.fit-settings { display: grid; grid-template-columns: max-content minmax(3em, 1fr) 3.4em; gap: .3em .6em; align-items: center; }
.fit-settings select { grid-column: 2 / 4; min-width: 0; width: 100%; }
.fit button, .fit select, .fit .fit-file { font: inherit; color: inherit; background: transparent; border: 1px solid #8888; border-radius: 4px; padding: .2em .6em; min-height: 30px; cursor: pointer; }
.fit select option { color: #111; background: #fff; }
.fit button:disabled { opacity: .45; cursor: default; }
.fit .fit-run { background: #1f5fa8; border-color: #1f5fa8; color: #fff; font-weight: 600; min-width: 6em; }
.fit button:focus-visible, .fit select:focus-visible, .fit input:focus-visible, .fit .fit-file:focus-within { outline: 3px solid #4a90d9; outline-offset: 1px; }
.fit-file input { position: absolute; opacity: 0; width: 1px; height: 1px; }
.fit input[type=range] { width: 100%; min-width: 0; margin: 0; }
.fit p { margin: 0; }
.fit-error:empty { display: none; }
.fit-error { color: #fff; background: #b3261e; padding: .3em .6em; border-radius: 4px; }
.fit-note { opacity: .75; font-size: 12px; }
.fit-curve { width: 100%; max-width: 26em; height: auto; display: block; font: 14px sans-serif; }
.fit.fit-glance .fit-settings, .fit.fit-glance .fit-more, .fit.fit-glance .fit-curve { display: none; }
.fit:fullscreen { background: #fff; color: #111; padding: 1em; overflow: auto; }
.fit:fullscreen .fit-stage { width: min(100%, calc((100vh - 2em) * var(--ratio, 1.5))); }
@container (min-width: 560px) { .fit-parts { flex-wrap: nowrap; } .fit-stage { flex: 0 1 auto; width: min(calc(100% - 17em), calc((100vh - 6em) * var(--ratio, 1.5))); } }
@container (min-width: 560px) { .fit:fullscreen .fit-stage { width: min(calc(100% - 18em), calc((100vh - 2em) * var(--ratio, 1.5))); } }`;

const SIDE = 240;               // pixels of the longer side that strokes are fitted to, unless said otherwise
const KINDS = [['points', 'points'], ['segments', 'straight lines'], ['polylines', 'bent lines'], ['beziers', 'curves']];
const LOSSES = [['MSE', 'squared error'], ['BlurredMSE', 'squared error, blurred']];
const RANGES = { sigma: [.45, 20], lr: [.0005, .2] };          // of the sliders

function add(parent, name, attributes = {}, text) {
  const svg = ['svg', 'g', 'circle', 'path', 'polyline', 'text'].includes(name);
  const node = svg ? document.createElementNS('http://www.w3.org/2000/svg', name) : document.createElement(name);
  for (const [k, v] of Object.entries(attributes)) node.setAttribute(k, v);
  // JupyterLab would take arrows and Space for itself, but for this attribute on the very element that has the focus
  if (['input', 'select', 'button'].includes(name) || 'tabindex' in attributes) node.setAttribute('data-lm-suppress-shortcuts', 'true');
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

const pitch = (h, w) => 2 / Math.max((h > 1 ? h : w > 1 ? w : 2) - 1, 1);

// The bytes of a picture, its longer side at most `side`, on white paper: [height, width, rgba].
function shrink(source, wide, high, side) {
  const k = Math.min(1, side / Math.max(wide, high)), canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(wide * k));
  canvas.height = Math.max(1, Math.round(high * k));
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.fillStyle = '#fff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = 'high';
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return { height: canvas.height, width: canvas.width, rgba: data, url: canvas.toDataURL('image/jpeg', .85) };
}

// A file or an address as such bytes, upright as its camera says; of a film the first picture.
async function picture(source, side) {
  const blob = typeof source === 'string' ? await (await fetch(source)).blob() : source;
  let bitmap;
  try { bitmap = await createImageBitmap(blob, { imageOrientation: 'from-image' }); } catch {
    throw new Error(`${source.name ?? 'this'} is no picture that this browser can read: take a JPEG, PNG, GIF or WebP`);
  }
  const out = shrink(bitmap, bitmap.width, bitmap.height, side);
  bitmap.close();
  return out;
}

// A loss as it falls, on a logarithmic scale; `marks` are [iteration, words] of what was changed on the way.
function curve(svg, losses, at, marks) {
  const w = 300, h = 110, good = losses.filter(([, o]) => o > 0);
  if (!good.length) return;
  const low = Math.min(...good.map(o => o[1])), high = Math.max(...good.map(o => o[1])), end = Math.max(good.at(-1)[0], 1);
  const x = i => 4 + (w - 8) * i / end, y = o => 16 + (h - 32) * (1 - Math.log(o / low) / (Math.log(high / low) || 1));
  svg.setAttribute('aria-label', `Loss over ${end} iterations: from ${good[0][1].toPrecision(3)} to ${good.at(-1)[1].toPrecision(3)}.`);
  const [line, mark, top, bottom, right, changes] = svg.children;
  line.setAttribute('points', good.map(([i, o]) => `${x(i).toFixed(1)},${y(o).toFixed(1)}`).join(' '));
  mark.setAttribute('d', at === null ? '' : `M${x(at).toFixed(1)} 14V${h - 14}`);
  top.textContent = `loss ${high.toPrecision(3)}`;
  bottom.textContent = low.toPrecision(3);
  right.textContent = `iteration ${end}`;
  const key = JSON.stringify([marks, end]);
  if (changes.dataset.key === key) return;
  changes.dataset.key = key;
  changes.replaceChildren();
  marks.forEach(([i, words], j) => {
    add(changes, 'path', { d: `M${x(i).toFixed(1)} 14V${h - 14}`, stroke: 'currentColor', 'stroke-opacity': .5, 'stroke-dasharray': '2 3' });
    const late = x(i) > .7 * w;
    add(changes, 'text', { x: (x(i) + (late ? -3 : 3)).toFixed(1), y: 28 + 14 * (j % 4), 'text-anchor': late ? 'end' : 'start', fill: 'currentColor' }, words);
  });
}

function save(name, data, type) {
  const a = document.createElement('a');
  a.href = URL.createObjectURL(new Blob([data], { type }));
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10_000);
}

// The Worker, asked by messages: ask('set', { changes }) -> a promise of its answer. Frames and errors of a run go to `hear`.
// From its text it is a Worker of the old kind: a page from a disk may have no modules in Workers.
function connect(source, hear) {
  const url = source && URL.createObjectURL(new Blob([source.replace(/^export /gm, '')], { type: 'text/javascript' }));
  const worker = url ? new Worker(url) : new Worker(new URL('engine.js', import.meta.url), { type: 'module' }), waiting = new Map();
  let last = 0;
  worker.onmessage = ({ data }) => {
    const { id, ...answer } = data;
    if (id === undefined) return hear(answer);
    const [yes, no] = waiting.get(id);
    waiting.delete(id);
    if (answer.error) no(new Error(answer.error)); else yes(answer);
  };
  worker.onerror = e => hear({ error: `the engine could not be started (${e.message ?? 'no reason given'})`, running: false });
  return {
    ask: (name, more = {}) => new Promise((yes, no) => { waiting.set(++last, [yes, no]); worker.postMessage({ id: last, do: name, ...more }); }),
    shown: buffer => worker.postMessage({ shown: buffer }, [buffer]),
    close: () => { worker.terminate(); if (url) URL.revokeObjectURL(url); },
  };
}

// The same of a kernel: questions go through the widget's model and answers come back, pictures in them as files. A widget may be
// shown several times: an answer is for the one that asked, a frame for all.
function kernel(model, hear) {
  const me = Math.random().toString(36).slice(2), waiting = new Map();
  let last = 0, newest = 0, turn = Promise.resolve();
  const plain = b => (b.buffer ? new Uint8Array(b.buffer, b.byteOffset, b.byteLength) : new Uint8Array(b));
  async function listen(message, buffers) {
    const { to, id, n, ...answer } = message, file = buffers?.[0] && plain(buffers[0]);
    if (to !== undefined && to !== me) return;
    if (n !== undefined) newest = Math.max(newest, n);
    turn = turn.then(async () => {
      if (n !== undefined && n < newest) return;                                // a later one has come meanwhile
      if (answer.picture) {
        const bitmap = await createImageBitmap(new Blob([file])), got = shrink(bitmap, bitmap.width, bitmap.height, Infinity);
        bitmap.close();
        Object.assign(answer, got, n === undefined ? {} : { frame: got.rgba.buffer });
      } else if (file) answer.file = file;
      if (n !== undefined) { model.send({ do: 'shown', n }); hear(answer); return; }
      const [yes, no] = waiting.get(id);
      waiting.delete(id);
      if (answer.error) no(new Error(answer.error)); else yes(answer);
    }).catch(e => hear({ error: e.message }));
  }
  model.on('msg:custom', listen);
  return {
    ask: (name, { rgba, ...more } = {}) => new Promise((yes, no) => {
      waiting.set(++last, [yes, no]);
      model.send({ to: me, id: last, do: name, ...more }, undefined, rgba ? [rgba.buffer] : []);
    }),
    shown: () => {},
    close: () => model.off('msg:custom', listen),
  };
}

// `state`: { src (address of a picture), settings, scene, label, name, side, glance, paused }; `source`: the text of engine.js, where it cannot be fetched.
// With `state.kernel` the widget's `model` leads to a kernel, which has a picture already; `state` then also says what can be set:
// counts [[name, how many, at most], ...], losses [[name, words], ...] and ranges.
export function open(el, state, source = null, model = null) {
  const label = state.label ?? 'strokes that find their places', root = add(el, 'div', { class: `fit${state.glance ? ' fit-glance' : ''}`, role: 'group', 'aria-label': label });
  const remote = Boolean(state.kernel && model);
  add(root, 'style', {}, STYLE);
  const parts = add(root, 'div', { class: 'fit-parts' }), stage = add(parts, 'div', { class: 'fit-stage' }), side = add(parts, 'div', { class: 'fit-side' });
  const canvas = add(stage, 'canvas', { role: 'img', 'aria-label': label, width: 3, height: 2 }), over = add(stage, 'svg', { role: 'group', 'aria-label': 'the stroke you hold' });
  const path = add(over, 'path', { class: 'fit-path' }), target = add(stage, 'img', { class: 'fit-target', alt: 'the picture that the strokes are to become', hidden: '' });
  let engine = null, size = null, name = state.name ?? 'drawing', last = null, wanted = !state.paused && !remote, away = false, picked = null, sharp = 0, tuned = { ...state.settings }, film = 0;

  const fails = error => { alert.textContent = error.message; };
  const ask = (what, more) => engine.ask(what, more).catch(e => { fails(e); return {}; });
  const button = (parent, text, title, f, more = {}) => {
    const b = add(parent, 'button', { type: 'button', title, ...more }, text);
    b.addEventListener('click', () => { alert.textContent = ''; f(); });
    return b;
  };

  // --- controls
  const buttons = add(side, 'div', { class: 'fit-row' });
  const run = button(buttons, 'start', 'Let the strokes move, or stop them (Space)', () => (wanted ? pause() : start()), { class: 'fit-run' });
  button(buttons, 'step', 'One iteration (S)', () => { wanted = false; told(); ask('step'); });
  button(buttons, 'start again', 'Back to the first strokes, with the settings as they are (R)', () => ask('reset'));
  button(buttons, 'full screen', 'Fill the screen, or leave it (F)', () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen?.()), { class: 'fit-more' });
  const status = add(side, 'p', { role: 'status' }, remote ? 'Getting ready. The first drawing on a machine compiles its kernels, for some seconds.' : ''), alert = add(side, 'p', { role: 'alert', class: 'fit-error' });
  const sources = add(side, 'div', { class: 'fit-row' });
  const file = add(add(sources, 'label', { class: 'fit-file', title: 'A photograph of yours; you can also drop one on the picture' }, 'your picture'), 'input', { type: 'file', accept: 'image/*', 'aria-label': 'choose a picture of yours' });
  file.addEventListener('change', () => { if (file.files[0]) take(file.files[0]); file.value = ''; });
  const camera = button(sources, 'camera', 'Let the strokes follow the camera', () => watch(), { 'aria-pressed': 'false', class: 'fit-more' });
  const settings = add(side, 'div', { class: 'fit-settings' });
  let unique = `fit${Math.random().toString(36).slice(2)}`;
  const shows = {};
  function slider(key, words, low, high, value, say, change, even = false) {   // on a logarithmic scale, or an even one
    const id = `${unique}${key}`, steps = 100;
    const at = v => Math.round(steps * (even ? (v - low) / (high - low) : Math.log(v / low) / Math.log(high / low)));
    add(settings, 'label', { for: id }, words);
    const input = add(settings, 'input', { type: 'range', id, min: 0, max: steps, step: 1, value: at(value) }), reading = add(settings, 'span', {}, say(value));
    input.setAttribute('aria-valuetext', say(value));
    const show = v => { input.value = at(v); reading.textContent = say(v); input.setAttribute('aria-valuetext', say(v)); };
    input.addEventListener('input', () => {
      const share = input.value / steps, v = even ? low + (high - low) * share : low * (high / low) ** share;
      reading.textContent = say(v);
      input.setAttribute('aria-valuetext', say(v));
      change(v, `${words.replace(/ \(.*/, '')} ${say(v)}`);
    });
    shows[key] = show;
    return input;
  }
  function menu(key, words, options, value, change) {
    const id = `${unique}${key}`;
    add(settings, 'label', { for: id }, words);
    const select = add(settings, 'select', { id });
    for (const [v, text] of options) add(select, 'option', { value: v }, text);
    select.value = value;
    select.addEventListener('change', () => change(select.value, select.selectedOptions[0].textContent.replace(/:.*/, '')));
    shows[key] = v => { select.value = v; };
    return select;
  }
  let asked = {}, words = {}, asking = 0, marks = [], touched = {}, told_of = {};
  const set = (changes, saying) => {                                     // of a slider's many values on its way, only the last is sent
    Object.assign(asked, changes);
    Object.assign(tuned, changes);
    for (const k of Object.keys(changes)) [words[k], touched[k]] = [saying, Date.now()];
    asking ||= setTimeout(() => {
      asking = 0;
      marks = [...marks, ...Object.values(words).map(o => [last?.of ?? 0, o])].slice(-12);
      ask('set', { changes: asked });
      asked = {};
      words = {};
    }, 60);
  };
  // what a kernel was told by somebody else
  function follow(settings) {
    for (const [k, v] of Object.entries(settings)) {
      if (told_of[k] === v || k in asked || Date.now() - (touched[k] ?? 0) < 1000) continue;
      told_of[k] = v;
      shows[k]?.(v);
    }
  }
  const several = (state.scene?.groups.length ?? 1) > 1, own = state.scene?.groups[0];
  const first = (key, usual) => tuned[key] ?? usual, round = v => Math.round(v);
  const ranges = { ...RANGES, ...state.ranges }, counts = state.counts ?? (several ? [] : [['strokes', own ? own.alpha.length : first('strokes', 500), 3000]]);
  for (const [key, many, most] of counts) slider(key, key, 1, most, many, v => String(round(v)), (v, saying) => set({ [key]: round(v) }, saying));
  if (!several && !remote) menu('kind', 'kind', KINDS, own?.kind ?? first('kind', 'segments'), (v, saying) => set({ kind: v }, saying));
  slider('sigma', 'width (pixels)', ...ranges.sigma, first('sigma', 2.5), v => (v < 1 ? v.toFixed(2) : v.toFixed(1)), (v, saying) => set({ sigma: v }, saying));
  slider('lr', 'learning rate', ...ranges.lr, first('lr', .01), v => v.toPrecision(2), (v, saying) => set({ lr: v }, saying));
  menu('compose', 'composition', [['paint', 'paint: covers'], ['ink', 'ink: absorbs']], state.scene?.compose ?? first('compose', 'paint'), (v, saying) => set({ compose: v }, saying));
  menu('loss', 'loss', state.losses ?? LOSSES, first('loss', 'MSE'), (v, saying) => set({ loss: v }, saying));
  const back = slider('back', 'look back', 0, 100, 100, v => (v < 100 ? `${round(v)} %` : 'now'), v => {
    pause();
    ask('look', { at: v < 100 ? Math.round(v / 100 * ((last?.past ?? 1) - 1)) : null });
  }, true);
  const graph = add(side, 'svg', { class: 'fit-curve', role: 'img', 'aria-label': 'loss', viewBox: '0 0 300 110' });
  add(graph, 'polyline', { fill: 'none', stroke: '#3182bd', 'stroke-width': 2, 'stroke-linejoin': 'round' });
  add(graph, 'path', { stroke: '#d1332e', 'stroke-width': 2 });
  add(graph, 'text', { x: 4, y: 12, fill: 'currentColor' });
  add(graph, 'text', { x: 4, y: 108, fill: 'currentColor' });
  add(graph, 'text', { x: 296, y: 108, 'text-anchor': 'end', fill: 'currentColor' });
  add(graph, 'g');
  const saves = add(side, 'div', { class: 'fit-row fit-more' });
  const called = end => `${name}-${last?.iteration ?? 0}.${end}`;
  button(saves, 'SVG', 'Save the drawing as vectors', async () => { const { svg } = await ask('svg'); if (svg) save(called('svg'), svg, 'image/svg+xml'); });
  button(saves, 'PNG', 'Save the drawing as pixels, four times as fine', async () => {
    const o = await ask('pixels', { scale: 4 });
    if (o.rgba) onCanvas(document.createElement('canvas'), o).toBlob(b => save(called('png'), b, 'image/png'));
  });
  button(saves, 'GIF', 'Save the strokes on their way as a film', async () => { const { gif, file } = await ask('film'); if (gif ?? file) save(called('gif'), gif ?? file, 'image/gif'); });
  if (globalThis.MediaRecorder?.isTypeSupported('video/webm')) button(saves, 'WebM', 'Save the strokes on their way as a film in all colours; it is played once while it is made', () => record());
  button(saves, 'watch it drawn', 'Lay the strokes one after the other', () => replay());
  button(saves, 'take a stroke', 'Hold one stroke: move its points by arrow keys or by hand', async () => grab((await ask('stroke', { n: Math.floor(Math.random() * (last?.strokes ?? 1)) })).picked));
  add(side, 'p', { class: 'fit-note' }, remote ? 'The kernel of this notebook computes; a picture that you choose goes to it, and nowhere else.' : 'Everything happens on this device: no picture leaves it.');

  // --- the run
  const told = () => { run.textContent = wanted ? 'pause' : 'start'; run.setAttribute('aria-pressed', String(wanted)); };
  function start() { wanted = true; stopReplay(); shows.back(100); told(); if (!away) ask('start'); }
  function pause() { wanted = false; stopReplay(); told(); ask('pause'); }
  function stopReplay() { clearTimeout(film); film = 0; }
  function replay() {
    pause();
    let done = 0;
    const next = async () => {
      done = Math.min(done + .02, 1);
      await ask('part', { share: done });
      film = done < 1 ? setTimeout(next, 60) : 0;
    };
    film = setTimeout(next, 0);
  }

  // what has been, as the browser's own recorder takes it down while it is played
  async function record() {
    pause();
    letGo();
    const many = last?.past ?? 0, frames = Math.min(many, 60), sheet = document.createElement('canvas'), kept = [];
    const scale = Math.max(1, Math.min(4, Math.round(800 / size.width))), wait = ms => new Promise(f => setTimeout(f, ms));
    let recorder = null;
    for (let j = 0; j <= frames && !wanted; j++) {
      await ask('look', { at: j < frames ? Math.round((many - 1) * (j / Math.max(frames - 1, 1)) ** 1.5) : null });
      const o = await ask('pixels', { scale });
      if (!o.rgba) return;
      onCanvas(sheet, o);
      if (!recorder) {
        recorder = new MediaRecorder(sheet.captureStream(25), { mimeType: 'video/webm', videoBitsPerSecond: 8e6 });
        recorder.ondataavailable = e => kept.push(e.data);
        recorder.start();
      }
      await wait(j < frames ? 80 : 1500);                   // the end is shown longer
    }
    await new Promise(f => { recorder.onstop = f; recorder.stop(); });
    save(called('webm'), new Blob(kept), 'video/webm');
  }

  function onCanvas(where, { height, width, rgba }) {
    if (where.width !== width || where.height !== height) { where.width = width; where.height = height; }
    where.getContext('2d').putImageData(new ImageData(rgba, width, height), 0, 0);
    return where;
  }

  function hear(message) {
    if (message.error) fails({ message: message.error });
    if (remote && message.frame) {                          // a kernel may be started, steered and repaired by others, too
      alert.textContent = message.error;
      wanted = message.running;
      told();
      follow(message.settings);
      ({ marks } = message);
    }
    if (!message.frame) {
      if (message.running === false) { wanted = false; told(); }
      return;
    }
    last = message;
    clearTimeout(sharp);
    onCanvas(canvas, { ...message, rgba: new Uint8ClampedArray(message.frame) });
    engine.shown(message.frame);
    status.textContent = `iteration ${message.iteration}${message.looking ? ` of ${message.of}` : ''}, ${message.psnr.toFixed(1)} dB, ${message.strokes} strokes`;
    canvas.setAttribute('aria-label', `${label}: ${message.strokes} strokes, ${message.psnr.toFixed(1)} decibels`);
    if (!remote && message.of === 0) marks = [];
    curve(graph, message.curve, message.looking ? message.iteration : null, marks);
    if (wanted && !message.running && !away && message.iteration > 0) { wanted = false; told(); }
    if (!message.running) sharp = setTimeout(sharpen, 200);
  }

  // at rest: the same strokes as finely as the screen shows them
  async function sharpen() {
    const scale = Math.min(1200, canvas.clientWidth * devicePixelRatio) / (last?.width ?? Infinity);
    if (scale <= 1 || film) return;
    const o = await ask('pixels', { scale });
    if (o.rgba && !last.running) onCanvas(canvas, o);
  }

  // the canvas takes the shape of the picture that the strokes are to become
  function stand(got) {
    size = got;
    stage.style.setProperty('--ratio', got.width / got.height);
    over.setAttribute('viewBox', `0 0 ${got.width} ${got.height}`);
    over.style.fontSize = 0;
    target.src = got.url;
    target.hidden = false;
  }

  async function begin(got, scene = null) {
    const going = wanted;
    if (engine) letGo();
    if (!remote) stand(got);
    engine ??= connect(source, hear);
    await ask('open', { rgba: got.rgba, height: got.height, width: got.width, settings: tuned, scene, name });
    if (remote) stand(await ask('meet'));                   // it makes the picture as small as it wants it
    wanted = going;
    if (wanted && !away) ask('start');
    told();
  }

  async function take(source, scene = null) {
    alert.textContent = '';
    stopCamera();
    try {
      const got = await picture(source, state.side ?? SIDE);
      if (source.name) name = source.name.replace(/\.[^.]*$/, '');
      if (source !== state.src) wanted = true;
      await begin(got, scene);
    } catch (e) { fails(e); }
  }
  root.addEventListener('dragover', e => { e.preventDefault(); stage.classList.add('fit-over'); });
  root.addEventListener('dragleave', () => stage.classList.remove('fit-over'));
  root.addEventListener('drop', e => { e.preventDefault(); stage.classList.remove('fit-over'); if (e.dataTransfer.files[0]) take(e.dataTransfer.files[0]); });

  // --- the camera
  let stream = null, video = null, looks = 0;
  function stopCamera() {
    stream?.getTracks().forEach(t => t.stop());
    clearTimeout(looks);
    stream = null;
    camera.setAttribute('aria-pressed', 'false');
  }
  async function watch() {
    if (stream) { stopCamera(); return; }
    try { stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'user' } }); } catch (e) {
      fails(new Error(`the camera cannot be used (${e.message}): allow it, or choose a picture`));
      return;
    }
    camera.setAttribute('aria-pressed', 'true');
    video ??= document.createElement('video');
    video.muted = video.playsInline = true;
    video.srcObject = stream;
    await video.play();
    name = 'camera';
    const look = async () => {
      if (!stream) return;
      const got = shrink(video, video.videoWidth, video.videoHeight, Math.min(state.side ?? SIDE, 200));
      const fits = size && (remote ? Math.abs(size.width * got.height - size.height * got.width) < 2 * got.height : size.width === got.width && size.height === got.height);
      if (fits) {
        target.src = got.url;
        await ask('aim', { rgba: got.rgba, height: got.height, width: got.width });
      } else {
        wanted = true;
        await begin(got);
      }
      looks = setTimeout(look, 150);
    };
    look();
  }

  // --- a stroke in the hand
  const screen = params => params.map((v, i) => v / pitch(size.height, size.width) + (i % 2 ? size.width : size.height) / 2);
  function letGo() {
    if (picked && engine) ask('release');
    picked = null;
    path.setAttribute('d', '');
    over.querySelectorAll('.fit-dot').forEach(o => o.remove());
  }
  function outline() {
    const at = screen(picked.params), k = size.width / stage.clientWidth;
    path.setAttribute('d', at.length > 2 ? `M${at.reduce((s, v, i) => (i % 2 ? `${s}${i > 1 ? 'L' : ''}${v} ${at[i - 1]}` : s), '')}` : '');
    const dots = over.querySelectorAll('.fit-dot');
    dots.forEach((o, j) => {
      o.setAttribute('cx', at[2 * j + 1]);
      o.setAttribute('cy', at[2 * j]);
      o.setAttribute('r', 8 * k);
      o.setAttribute('aria-valuetext', `row ${at[2 * j].toFixed(0)}, column ${at[2 * j + 1].toFixed(0)}`);
      o.setAttribute('aria-valuenow', at[2 * j].toFixed(0));
    });
  }
  const send = () => ask('hold', { group: picked.group, stroke: picked.stroke, params: picked.params });
  function move(points, dy, dx) {
    const p = pitch(size.height, size.width), half = [(size.height - 1) / 2 * p, (size.width - 1) / 2 * p];
    picked.params = picked.params.map((v, i) => (points === null || points === i >> 1 ? Math.min(Math.max(v + (i % 2 ? dx : dy) * p, -half[i % 2]), half[i % 2]) : v));
    outline();
    send();
  }
  function grab(stroke) {
    letGo();
    if (!stroke) return;
    picked = stroke;
    const many = stroke.params.length / 2;
    for (let j = 0; j < many; j++) {
      const dot = add(over, 'circle', { class: 'fit-dot', tabindex: 0, role: 'slider', 'aria-label': `point ${j + 1} of ${many} of the stroke you hold: arrow keys move it, Escape lets it go` });
      dot.addEventListener('keydown', e => {
        const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[e.key];
        if (e.key === 'Escape') { letGo(); run.focus(); e.stopPropagation(); }
        if (!way || e.altKey || e.ctrlKey || e.metaKey) return;
        e.preventDefault();
        e.stopPropagation();
        move(j, ...way.map(x => x * (e.shiftKey ? 10 : 2)));
      });
      drags(dot, () => j, letGo);
    }
    outline();
    send();
    over.querySelector('.fit-dot').focus({ preventScroll: true });
  }
  // pointer moves of `what` move the points that `which` names (null: all of them)
  function drags(what, which, end) {
    let from = null;
    const place = e => { const box = canvas.getBoundingClientRect(); return [(e.clientY - box.top) / box.height * size.height, (e.clientX - box.left) / box.width * size.width]; };
    what.addEventListener('pointerdown', async e => {
      if (!size) return;
      e.preventDefault();
      e.stopPropagation();
      what.setPointerCapture(e.pointerId);
      from = place(e);
      if (what === canvas) { const held = from; grab((await ask('pick', { row: held[0] - .5, col: held[1] - .5 })).picked); if (!from) letGo(); }
    });
    what.addEventListener('pointermove', e => {
      if (!from || !picked) return;
      const to = place(e);
      move(which(), to[0] - from[0], to[1] - from[1]);
      from = to;
    });
    for (const k of ['pointerup', 'pointercancel']) what.addEventListener(k, () => { if (from) { from = null; end(); } });
  }
  drags(canvas, () => null, letGo);

  // --- keys, and rest while nobody looks
  root.addEventListener('keydown', e => {
    if (['INPUT', 'SELECT', 'BUTTON'].includes(e.target.tagName) && e.key === ' ' || e.altKey || e.ctrlKey || e.metaKey || e.target.tagName === 'SELECT') return;
    const known = { ' ': () => run.click(), s: () => buttons.children[1].click(), r: () => buttons.children[2].click(), f: () => buttons.children[3].click() }[e.key.toLowerCase()];
    if (!known) return;
    e.preventDefault();
    e.stopPropagation();
    known();
  });
  let inSight = true;
  function attend() {
    const now = document.hidden || !inSight;
    if (remote || now === away) return;                     // a kernel goes on beside the notebook
    away = now;
    if (away) stopCamera();
    if (engine && wanted) ask(away ? 'pause' : 'start');
  }
  document.addEventListener('visibilitychange', attend);
  const seen = new IntersectionObserver(all => { inSight = all.at(-1).isIntersecting; attend(); });
  seen.observe(root);

  told();
  if (remote) {
    engine = kernel(model, hear);
    ask('meet').then(got => {
      if (!got.url) return;
      root.classList.add('fit-alive');                       // somebody answers: the picture that the notebook keeps is hidden
      stand(got);
    });
  } else if (state.src) take(state.src, state.scene ?? null);
  return () => { seen.disconnect(); document.removeEventListener('visibilitychange', attend); stopCamera(); stopReplay(); clearTimeout(sharp); engine?.close(); };
}

// An element with data-fit comes to life when it comes into sight; who asked for little motion starts it by hand.
export function wake(el, source = null) {
  const state = JSON.parse(el.dataset.fit);
  delete el.dataset.fit;
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) state.paused = true;
  const still = el.querySelector('img');
  if (!state.src && still) state.src = still.src;
  const first = new IntersectionObserver(all => {
    if (!all.some(o => o.isIntersecting)) return;
    first.disconnect();
    el.replaceChildren();
    open(el, state, source);
  }, { rootMargin: '200px' });
  first.observe(el);
}
// In JupyterLab, where this module has no address of its own, anywidget calls `render`, and nothing else is woken.
const text = typeof document === 'undefined' ? null : document.getElementById('fit-engine')?.textContent ?? null;
if (typeof document !== 'undefined' && (text || /^(https?|file):/.test(import.meta.url))) document.querySelectorAll('[data-fit]').forEach(el => wake(el, text));

export default { render({ model, el }) { return open(el, model.get('state'), model.get('engine'), model); } };
