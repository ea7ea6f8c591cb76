// The controls around the canvas, the colour bar, names and the hint under the pointer.

const PANEL = `
<div class="tools top" role="toolbar" aria-label="Map and view">
  <span class="flip"><button data-act="previous" title="Previous map (←)" aria-label="Previous map">‹</button><b class="title"></b><button
    data-act="next" title="Next map (→)" aria-label="Next map">›</button></span>
  <label>Surface <select data-look="surface"></select></label>
  <label>View <select data-look="view"><option value="four">four sides</option><option value="free">3-D, free</option></select></label>
  <label class="values">Threshold <input type="range" data-look="threshold" min="0" step="0.01"><output></output></label>
  <details><summary>More</summary><div class="more">
    <label class="inflation">Inflation <input type="range" data-look="blend" min="0" max="1" step="0.02"></label>
    <label class="plain">Colours to <input type="number" data-look="range" min="0" step="0.05"></label>
    <label class="plain">Range <select data-look="sides"><option value="both">− to +</option><option value="one">0 to +</option></select></label>
    <label class="plain">Colour map <select data-look="colours"></select></label>
    <label class="plain">Compare <select data-look="compare"><option value="">nothing</option><option value="beside">two maps</option>
      <option value="minus">difference</option></select></label>
    <label><input type="checkbox" data-look="outlines"> Parcel outlines</label>
    <label><input type="checkbox" data-look="names"> Parcel names</label>
    <button data-act="restart">Reset view</button>
    <p class="keys">Keys: ←→ map · ↑↓ threshold · V view · S surface · O outlines · N names · C compare with this map · Esc unpin.
      3-D: drag to turn, wheel to zoom.</p>
  </div></details>
</div>
<div class="stage"><div class="over"></div><div class="hint" hidden></div></div>
<div class="legend"></div>
<p class="summary" aria-live="polite"></p>`;

const STYLE = `
:host, .viewer { font-family: var(--st-font, "Source Sans", sans-serif); color: var(--st-text-color, #222); font-size: 0.85rem; }
.viewer { --line: color-mix(in srgb, currentColor 22%, transparent); --faint: color-mix(in srgb, currentColor 68%, transparent); }
.viewer * { box-sizing: border-box; } .viewer [hidden] { display: none !important; }
.tools { display: flex; flex-wrap: wrap; gap: 0.35rem 0.9rem; align-items: center; min-height: 2rem; }
.tools label { display: inline-flex; align-items: center; gap: 0.35rem; white-space: nowrap; color: var(--faint); }
.tools select, .tools input, .tools button { font: inherit; color: var(--st-text-color, inherit); accent-color: var(--st-primary-color, #2e5ccb); }
.tools select, .tools button, .tools input[type=number] { background: var(--st-secondary-background-color, #f0f2f6); border: 1px solid var(--line);
  border-radius: 0.4rem; padding: 0.12rem 0.4rem; }
.tools option { color: var(--st-text-color); background: var(--st-background-color); }
.tools input[type=number] { width: 4.6rem; }
.tools input[type=range] { width: 6.5rem; }
.tools button { cursor: pointer; } .tools button:disabled { opacity: 0.4; cursor: default; }
.tools output { min-width: 2.2rem; font-variant-numeric: tabular-nums; color: var(--st-text-color); }
.flip { display: inline-flex; align-items: center; gap: 0.4rem; }
.flip .title { font-weight: 600; font-size: 0.95rem; overflow-wrap: anywhere; } .flip button { font-size: 1.05rem; line-height: 1.2; }
details { position: relative; } summary { cursor: pointer; color: var(--faint); }
.more { position: absolute; right: 0; z-index: 5; width: 19rem; padding: 0.7rem; display: flex; flex-direction: column; align-items: flex-start; gap: 0.5rem;
  background: var(--st-background-color, #fff); border: 1px solid var(--line); border-radius: 0.5rem; box-shadow: 0 4px 16px rgb(0 0 0 / 25%); }
.keys { margin: 0; font-size: 0.78rem; color: var(--faint); }
.stage { position: relative; padding-top: 22px; } .stage.waiting canvas { opacity: 0.45; }
canvas { display: block; width: 100%; outline-offset: 2px; touch-action: none; } canvas:focus-visible { outline: 2px solid var(--st-primary-color, #2e5ccb); }
.stage.turns canvas { cursor: grab; }
.over { position: absolute; inset: 22px 0 0; pointer-events: none; overflow: visible; }
.over span { position: absolute; transform: translateX(-50%); white-space: nowrap; color: var(--faint); }
.over .parcel { color: #111; font-size: 0.72rem; font-weight: 600; transform: translate(-50%, -50%); text-shadow: 0 0 3px #fff, 0 0 3px #fff, 0 0 2px #fff; }
.hint { position: absolute; z-index: 4; pointer-events: none; padding: 0.2rem 0.5rem; border-radius: 0.35rem; white-space: nowrap;
  background: var(--st-background-color, #fff); border: 1px solid var(--line); box-shadow: 0 2px 8px rgb(0 0 0 / 20%); }
.legend { display: flex; justify-content: center; align-items: flex-start; flex-wrap: wrap; gap: 0.4rem 2rem; padding: 0.6rem 1.2rem 0; }
.bar { width: min(24rem, 80%); text-align: center; }
.gradient { height: 0.85rem; position: relative; }
.gradient i { position: absolute; top: 0; width: 0.7rem; height: 0.85rem; }
.gradient i.low { right: 100%; clip-path: polygon(100% 0, 100% 100%, 0 50%); } .gradient i.high { left: 100%; clip-path: polygon(0 0, 0 100%, 100% 50%); }
.ticks { position: relative; height: 1.4rem; font-variant-numeric: tabular-nums; }
.ticks span { position: absolute; transform: translateX(-50%); padding-top: 0.15rem; }
.ticks span::before { content: ""; position: absolute; left: 50%; top: 0; height: 0.22rem; border-left: 1px solid var(--faint); }
.swatch { display: inline-flex; align-items: center; gap: 0.4rem; white-space: nowrap; }
.swatch i { width: 0.9rem; height: 0.9rem; border-radius: 0.15em; }
.summary { margin: 0.5rem 0 0; color: var(--faint); } .summary.missing { color: inherit; }`;

const rgb = (colour) => `rgb(${colour.join(" ")})`;
const FOLDS = [191, 191, 191], MASK = [104, 104, 104];

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function swatch(name, colour) {
  const box = element("i");
  box.style.background = rgb(colour);
  return element("span", { className: "swatch" }, box, name);
}

/** The colour bar of a palette (rows of 256 colours): grey where the threshold hides, pointed where values lie beyond. */
function colourBar(palette, [low, high], threshold, label, beyond) {
  const gradient = element("div", { className: "gradient" });
  const at = (value) => `${((100 * (value - low)) / (high - low)).toFixed(2)}%`;
  const stops = Array.from({ length: 33 }, (_, i) => `${rgb(palette.slice(Math.round((i * 255) / 32) * 3).slice(0, 3))} ${((i * 100) / 32).toFixed(2)}%`);
  const [first, last] = [at(Math.max(low, low < 0 ? -threshold : low)), at(Math.min(threshold, high))];
  const veil = threshold > 0 ? `linear-gradient(to right, transparent ${first}, ${rgb(FOLDS)} ${first}, ${rgb(FOLDS)} ${last}, transparent ${last}), ` : "";
  gradient.style.background = `${veil}linear-gradient(to right, ${stops.join(", ")})`;
  for (const [side, colour] of [["low", palette.slice(0, 3)], ["high", palette.slice(765, 768)]]) {
    if (!beyond[side]) continue;
    const tip = element("i", { className: side });
    tip.style.background = rgb(colour);
    gradient.append(tip);
  }
  const numbers = element("div", { className: "ticks" });
  for (const tick of ticks(low, high)) {
    const written = element("span", { textContent: tick.text });
    written.style.left = at(tick.at);
    numbers.append(written);
  }
  return element("div", { className: "bar" }, gradient, numbers, element("div", { textContent: label }));
}

/** Names of views above their panes; names of parcels where they fit, large parcels first. */
function paneNames(over, panes, titles) {
  over.replaceChildren();
  for (const pane of panes) {
    const name = element("span", { textContent: titles.length > 1 ? `${pane.name} · ${titles[pane.map]}` : pane.name });
    name.style.left = `${pane.left + pane.width / 2}px`;
    name.style.top = `${pane.top - 21}px`;
    over.append(name);
  }
}

function parcelNames(over, mesh, panes, from, to, blend) {
  const members = mesh.parcels.map(() => []);
  mesh.labels.forEach((parcel, v) => parcel >= 0 && members[parcel].push(v));
  const place = (v, pane) => project(pane, ...[0, 1, 2].map((axis) => from.points[v * 3 + axis] * (1 - blend) + to.points[v * 3 + axis] * blend));
  for (const pane of panes) {
    const taken = [];
    const order = members.map((_, parcel) => parcel).sort((p, q) => members[q].length - members[p].length);
    for (const parcel of order) {
      const [hemisphere, name] = mesh.parcels[parcel];
      if (!members[parcel].length || (pane.hemisphere !== "both" && pane.hemisphere !== hemisphere)) continue;
      const spots = members[parcel].map((v) => place(v, pane));
      const middle = [0, 1].map((axis) => spots.reduce((sum, spot) => sum + spot[axis], 0) / spots.length);
      const seen = pick(pane, from, to, blend, ...middle);
      if (seen < 0 || mesh.labels[seen] !== parcel) continue; // on the other side, or bent around another
      const half = name.length * 3.1 + 3;
      const box = [middle[0] - half, middle[1] - 7, middle[0] + half, middle[1] + 7];
      if (box[0] < pane.left - 6 || box[2] > pane.left + pane.width + 6) continue;
      if (taken.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1])) continue;
      taken.push(box);
      const written = element("span", { className: "parcel", textContent: name });
      [written.style.left, written.style.top] = [`${middle[0]}px`, `${middle[1]}px`];
      over.append(written);
    }
  }
}
