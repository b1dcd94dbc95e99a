// What the site does besides showing text; it asks no other server for anything.

// Toys on this page: a stroke to drag, a film to play, pictures to run through.
if (document.querySelector('[data-strokes], [data-frames]')) import('./strokes.js');
if (document.querySelector('[data-fit]')) import('./fit.js');

// A figure that a narrow screen would make too small to read is cut into its panels; page 92 notes where they are. What cannot be cut moves sideways.
const LEAST = 72, KEPT = 80;            // pixels to the inch: below LEAST, letters of 10 points are under 10 pixels
const narrow = matchMedia('(max-width: 575px)');
const figures = [...document.querySelectorAll('[data-panels]')].flatMap(note => {
  const holder = note.closest('.cell-output-display')?.previousElementSibling, img = holder?.querySelector('img');
  if (!img) return [];
  const inches = +note.dataset.inches, [W, H] = note.dataset.size.split(' ').map(Number);
  const boxes = note.dataset.panels.split(',').map(o => o.split(' ').map(Number));
  let row;
  if (boxes.length > 1) {
    // the lower median: one panel may be wider than the others, by a scale or a legend, and has a line of its own
    const widths = boxes.map(b => b[2]).filter(w => w < W).sort((a, b) => a - b), usual = 1.15 * widths[(widths.length - 1) >> 1];
    const column = Math.max(...widths.filter(w => w <= usual));
    row = document.createElement('span');
    row.className = 'panels';
    row.setAttribute('role', 'img');
    row.setAttribute('aria-label', img.alt);
    row.style.setProperty('--column', `${LEAST * inches * column / W}px`);
    for (const [x, y, w, h] of boxes) {
      const one = row.appendChild(document.createElement('span')), part = (a, all) => all ? `${100 * a / all}%` : '0';
      one.className = w <= column ? 'panel' : 'panel all';
      one.style.cssText = `width: ${w <= column ? part(w, column) : '100%'}; max-width: ${(w <= column ? 110 : 90) * inches * w / W}px; aspect-ratio: ${w} / ${h};
        background-size: ${100 * W / w}% ${100 * H / h}%; background-position: ${part(x, W - w)} ${part(y, H - h)};`;
    }
    // the whole figure is one touch away: by Quarto's lightbox, else as a picture of its own
    let link = img.closest('a');
    if (!link) {
      link = document.createElement('a');
      link.href = img.src;
      img.after(link);
    }
    link.append(row);
  }
  return [{ holder, img, inches, row }];
});
function fit() {
  for (const { holder, img, inches, row } of figures) {
    const small = narrow.matches && holder.clientWidth < LEAST * inches - 1;
    if (row) {
      img.hidden = small;
      row.hidden = !small;
      if (small && !row.style.getPropertyValue('--figure')) row.style.setProperty('--figure', `url("${img.src}")`);
    } else {
      img.style.width = small ? `${KEPT * inches}px` : '';
      img.style.maxWidth = small ? 'none' : '';
    }
  }
}

// Printed columns stay columns: rows of words with wide gaps between them are not broken.
for (const pre of document.querySelectorAll('.cell-output pre'))
  if (pre.textContent.split('\n').filter(row => /\S {2,}\S/.test(row)).length > 2) pre.classList.add('columns');

// What is wider than its column says so, and can be moved by the keyboard too.
const hints = new Map();
function mark() {
  fit();
  for (const o of document.querySelectorAll('.cell-output-display, pre.columns, main table, main math[display="block"]')) {
    const wider = o.scrollWidth > o.clientWidth + 1;
    if (wider && !hints.has(o)) {
      const p = document.createElement('p');
      p.className = 'more-hint';
      p.textContent = 'wider than the screen: move it sideways →';
      // of what is taller than a screen, the end is far away
      if (o.offsetHeight > innerHeight) o.before(p);
      else o.after(p);
      hints.set(o, p);
      o.setAttribute('tabindex', 0);
      // tables and formulas keep their own role
      if (o.matches('.cell-output-display')) for (const [k, v] of [['role', 'group'], ['aria-label', 'wider than the screen: moves sideways']]) o.setAttribute(k, v);
    } else if (!wider && hints.has(o)) {
      hints.get(o).remove();
      hints.delete(o);
      for (const k of o.matches('.cell-output-display') ? ['tabindex', 'role', 'aria-label'] : ['tabindex']) o.removeAttribute(k);
    }
  }
}
// A flag or a short name is not torn at its dashes.
for (const o of document.querySelectorAll('main :is(p, li, td) code:not(pre code)')) if (o.textContent.length <= (o.closest('td') ? 32 : 24)) o.style.whiteSpace = 'nowrap';
addEventListener('load', mark);
addEventListener('resize', mark);
// a fold that opens shows more; the event does not rise
addEventListener('toggle', mark, true);
mark();

// A drawing that draws itself begins when it comes into sight, and once more when it is clicked.
const begin = svg => { const fresh = svg.cloneNode(true); svg.replaceWith(fresh); return fresh; };
const seen = new IntersectionObserver(all => {
  for (const { target, isIntersecting } of all) if (isIntersecting) {
    seen.unobserve(target);
    const svg = begin(target);
    svg.addEventListener('click', function again(e) { begin(e.currentTarget).addEventListener('click', again); });
  }
}, { threshold: .3 });
for (const svg of document.querySelectorAll('svg:has(.dsketch-film)')) seen.observe(svg);
