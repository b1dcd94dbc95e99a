// What the site does besides showing text; it asks no other server for anything.

// Toys on this page: a stroke to drag, a film to play, pictures to run through.
if (document.querySelector('[data-strokes], [data-frames]')) import('./strokes.js');
if (document.querySelector('[data-fit]')) import('./fit.js');

// What is wider than its column says so.
const hints = new Map();
function mark() {
  for (const o of document.querySelectorAll('.cell-output-display')) {
    const wider = o.scrollWidth > o.clientWidth + 4;
    if (wider && !hints.has(o)) {
      const p = document.createElement('p');
      p.className = 'more-hint';
      p.textContent = 'wider than the screen: move it sideways →';
      o.after(p);
      hints.set(o, p);
    } else if (!wider && hints.has(o)) {
      hints.get(o).remove();
      hints.delete(o);
    }
  }
}
addEventListener('load', mark);
addEventListener('resize', mark);
if (document.readyState === 'complete') mark();

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
