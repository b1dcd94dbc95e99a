// A sheet of paper to draw on, by mouse, finger or keys, and beside it what somebody answers. For JupyterLab, through anywidget.
// Positions are [row, col], -1 and 1 at the edges of the sheet; the answer is an SVG document.

const STYLE = `
.pad { max-width: 100%; }
.pad-sheets { display: flex; flex-wrap: wrap; gap: 16px; }
.pad-sheets figure { margin: 0; max-width: 100%; }
.pad-sheets figcaption { font-size: 13px; line-height: 1.8; }
.pad-paper, .pad-answer { display: block; max-width: 100%; box-sizing: border-box; border: 1px solid #b3b3b3; background: #fff; aspect-ratio: 1; }
.pad-paper { touch-action: none; cursor: crosshair; }
.pad-paper:focus { outline: 3px solid #1f5fa8; }
.pad-ink polyline { fill: none; stroke: #111; stroke-width: 17; stroke-linecap: round; stroke-linejoin: round; }
.pad-pen { fill: none; stroke: #d1332e; stroke-width: 2.5; display: none; }
.pad-paper:focus-visible .pad-pen { display: inline; }
.pad-pen.down { fill: #d1332e; }
.pad-controls { display: flex; gap: .6em; padding: .5em 0; }
.pad-caption { margin: 0; font-size: 14px; line-height: 1.4; min-height: 1.4em; }`;

const clamp = x => Math.min(Math.max(x, -1), 1);

function add(parent, name, attributes = {}, text) {
  const svg = ['svg', 'g', 'polyline', 'circle'].includes(name);
  const node = svg ? document.createElementNS('http://www.w3.org/2000/svg', name) : document.createElement(name);
  for (const [k, v] of Object.entries(attributes)) node.setAttribute(k, v);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

function render({ model, el }) {
  const wide = model.get('width');
  // JupyterLab would take the arrow keys and the space bar for moving between cells
  const root = add(el, 'div', { class: 'pad', 'data-lm-suppress-shortcuts': 'true', role: 'group', 'aria-label': model.get('label') });
  add(root, 'style', {}, STYLE);
  const sheets = add(root, 'div', { class: 'pad-sheets' }), left = add(sheets, 'figure'), right = add(sheets, 'figure');
  const paper = add(left, 'svg', { class: 'pad-paper', viewBox: '-100 -100 200 200', width: wide, tabindex: 0, role: 'application',
    'aria-label': 'paper: draw with the mouse or a finger; or with keys: arrows move the pen, space puts it down or lifts it, backspace takes a stroke back, escape clears' });
  const ink = add(paper, 'g', { class: 'pad-ink' }), mark = add(paper, 'circle', { class: 'pad-pen', r: 6 });
  add(left, 'figcaption', {}, 'draw here');
  const answer = add(right, 'img', { class: 'pad-answer', width: wide, alt: '' });
  add(right, 'figcaption', {}, 'the answer');
  const controls = add(root, 'div', { class: 'pad-controls' }), caption = add(root, 'p', { class: 'pad-caption', role: 'status' });

  let strokes = [], pen = [0, 0], down = false, waiting = 0;
  const tell = () => { waiting = 0; model.set('strokes', strokes.map(s => s.map(p => [...p]))); model.save_changes(); };
  const soon = () => { waiting ||= setTimeout(tell, 80); };
  const show = () => {
    while (ink.children.length > strokes.length) ink.lastChild.remove();
    while (ink.children.length < strokes.length) add(ink, 'polyline');
    // a line of no length has no caps, so a dot is a very short one
    strokes.forEach((s, i) => ink.children[i].setAttribute('points', [...s, ...(s.length === 1 ? [[s[0][0], s[0][1] + .001]] : [])].map(([r, c]) => `${100 * c},${100 * r}`).join(' ')));
    mark.setAttribute('cx', 100 * pen[1]);
    mark.setAttribute('cy', 100 * pen[0]);
    mark.classList.toggle('down', down);
  };
  const change = () => { show(); soon(); };
  const undo = () => { strokes.pop(); down = false; change(); };
  const clear = () => { strokes = []; down = false; change(); };

  const at = e => {
    const box = paper.getBoundingClientRect();
    return [clamp(2 * (e.clientY - box.top) / box.height - 1), clamp(2 * (e.clientX - box.left) / box.width - 1)];
  };
  paper.addEventListener('pointerdown', e => {
    if (e.button) return;
    e.preventDefault();
    paper.setPointerCapture(e.pointerId);
    paper.focus({ focusVisible: false });
    down = false;
    strokes.push([pen = at(e)]);
    change();
  });
  paper.addEventListener('pointermove', e => {
    if (!paper.hasPointerCapture(e.pointerId)) return;
    const to = at(e);
    if (Math.hypot(to[0] - pen[0], to[1] - pen[1]) < .02) return;
    strokes.at(-1).push(pen = to);
    change();
  });
  paper.addEventListener('keydown', e => {
    if (e.altKey || e.ctrlKey || e.metaKey) return;
    const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[e.key];
    const step = e.shiftKey ? .02 : .08;
    if (way) {
      pen = pen.map((x, i) => clamp(x + step * way[i]));
      if (down) { strokes.at(-1).push(pen); soon(); }
      show();
    } else if (e.key === ' ') {
      down = !down;
      if (down) { strokes.push([pen]); soon(); }
      show();
    } else if (e.key === 'Backspace' || e.key === 'Delete') undo();
    else if (e.key === 'Escape') clear();
    else return;
    e.preventDefault();
    e.stopPropagation();
  });
  add(controls, 'button', { type: 'button' }, 'take back').addEventListener('click', undo);
  add(controls, 'button', { type: 'button' }, 'clear').addEventListener('click', clear);

  // what Python says is drawn counts, unless a hand is drawing right now
  const given = () => {
    if (waiting) return;
    const now = model.get('strokes');
    if (JSON.stringify(now) === JSON.stringify(strokes)) return;
    strokes = now.map(s => s.map(p => [...p]));
    down = false;
    show();
  };
  const answered = () => {
    answer.src = 'data:image/svg+xml,' + encodeURIComponent(model.get('answer'));
    answer.alt = caption.textContent = model.get('caption');
  };
  model.on('change:strokes', given);
  model.on('change:answer', answered);
  model.on('change:caption', answered);
  given();
  answered();
  return () => { model.off('change:strokes', given); model.off('change:answer', answered); model.off('change:caption', answered); clearTimeout(waiting); };
}

export default { render };
