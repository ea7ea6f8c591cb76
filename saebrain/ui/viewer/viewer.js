// One viewer on a page: what it shows, what it does when used, and what it says to Python.
//
// The browser decides how maps look and may run ahead of Python: it flips to maps it holds at once and tells later. What it
// tells carries a number and is told again until Python has answered it: Streamlit keeps only the last of several reports that
// come while a page is being drawn. Until then, what Python says of that matter is old.

const SURFACES = ["inflated", "pial", "white", "flat"];
const DEFAULTS = { surface: "inflated", view: "four", blend: null, threshold: null, range: null, sides: null, colours: null, compare: "", outlines: false, names: false, least: 0 };
const MOST_MAPS = 96; // kept; about 2 MB
const SAY_AFTER_MS = 300;
const KEPT = "saebrain surface viewer";

// What outlives reruns and page changes: meshes, maps, the camera, how maps look. A reload keeps the camera.
const shared = { meshes: new Map(), maps: new Map(), look: {}, camera: { ...START }, scenes: [], viewers: new Set(), count: Date.now() };
try {
  Object.assign(shared, JSON.parse(sessionStorage.getItem(KEPT) ?? "{}"));
} catch {
  // Storage may be forbidden: then a reload starts anew.
}

function keep() {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify({ camera: shared.camera }));
  } catch {
    // As above.
  }
}

function holdMap(record, body) {
  const map = { ...record, span: new Float32Array([record.low, record.high]) };
  map.bytes = body.slice(record.start, record.start + record.vertices);
  if (record.names) {
    map.index = body.slice(record.start + record.vertices, record.start + 2 * record.vertices);
    map.palette = new Float32Array(36);
    record.palette.forEach((colour, i) => map.palette.set(colour.map((channel) => channel / 255), 3 * i));
  }
  shared.maps.delete(record.id);
  shared.maps.set(record.id, map);
  for (const id of shared.maps.keys()) {
    if (shared.maps.size <= MOST_MAPS) break;
    shared.maps.delete(id); // the oldest
  }
}

class Viewer {
  constructor(root) {
    this.root = element("div", { className: "viewer" });
    this.root.innerHTML = PANEL;
    this.style = element("style", { textContent: STYLE });
    root.append(this.style, this.root);
    this.find = (selector) => this.root.querySelector(selector);
    this.open = {}; // what was told of flips, looks and picks, and not answered yet
    this.timers = {};
    this.reference = null;
    this.wire();
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.find(".stage"));
    shared.viewers.add(this);
  }

  /** What Python says. */
  update({ data, setTriggerValue }) {
    const { header, body } = unpack(data);
    header.maps.forEach((record) => holdMap(record, body));
    this.say = (report) => setTriggerValue?.("report", report);
    this.header = header;
    for (const matter of ["flip", "look", "pick"]) if (this.open[matter]?.at <= header.seen[matter]) delete this.open[matter];
    const settled = (matter) => !this.open[matter] && !this.timers[matter];
    if (settled("flip")) this.current = header.current;
    if (settled("look")) Object.assign(shared.look, header.look);
    if (settled("pick")) this.pinned = header.pinned;
    // After the page has let go of the viewer it replaces, so that its context can be taken over.
    if (this.scene) this.show();
    else setTimeout(() => this.root.isConnected && this.start(), 0);
  }

  start() {
    try {
      this.scene ??= shared.scenes.pop() ?? new Scene();
    } catch (error) {
      if (!(error instanceof NoWebGL)) throw error;
      this.find(".tools").hidden = true;
      Object.assign(this.find(".summary"), { className: "summary missing", textContent: "This browser draws no WebGL: the map is shown as a picture." });
      if (!this.missing) this.report({ missing: true });
      this.missing = true;
      return;
    }
    this.canvas = this.scene.canvas;
    Object.assign(this.canvas, { tabIndex: 0 });
    this.canvas.setAttribute("role", "img");
    this.find(".stage").prepend(this.canvas);
    this.listen();
    this.show();
  }

  /** Leave the page; the context is kept for the next viewer, one of them. */
  stop() {
    this.resized.disconnect();
    this.events?.abort();
    Object.values(this.timers).forEach(clearTimeout);
    shared.viewers.delete(this);
    this.style.remove();
    this.root.remove();
    if (!this.scene) return;
    this.canvas.remove();
    if (shared.scenes.length || [...shared.viewers].some((other) => other.scene)) this.scene.destroy();
    else shared.scenes.push(this.scene);
    this.scene = null;
  }

  get look() {
    return { ...DEFAULTS, ...this.header.defaults, ...Object.fromEntries(Object.entries(shared.look).filter(([, value]) => value !== null)) };
  }

  get mesh() {
    return shared.meshes.get(this.header.mesh);
  }

  get map() {
    return shared.maps.get(this.current);
  }

  /** All of the state that a drawing needs, or null while something is on its way. */
  get state() {
    const { mesh, map, look } = this;
    if (!mesh || !map) return null;
    const surface = mesh.surfaces[look.surface] ? look.surface : Object.keys(mesh.surfaces)[0];
    const blends = (surface === "inflated" || surface === "pial") && mesh.surfaces.pial && mesh.surfaces.inflated;
    const [from, to] = blends ? [mesh.surfaces.pial, mesh.surfaces.inflated] : [mesh.surfaces[surface], mesh.surfaces[surface]];
    const blend = blends ? (look.blend ?? (surface === "inflated" ? 1 : 0)) : 0;
    const other = look.compare && !map.index ? shared.maps.get(this.reference) : null;
    const comparing = other && !other.index && other !== map ? look.compare : "";
    const minus = comparing === "minus";
    const sides = minus ? "both" : (look.sides ?? map.sides ?? "both");
    const reach = map.index ? 1 : (look.range ?? (minus ? roundUp(farthest(this.mesh, map, other)) : map.reach));
    const maps = comparing ? [map, other] : [map];
    const rows = comparing === "beside" ? 2 : 1;
    const flat = surface === "flat", free = look.view === "free";
    const width = Math.max(200, Math.floor(this.find(".stage").clientWidth));
    const colours = mesh.palettes.findIndex(({ name, sides: of }) => name === look.colours && of === sides);
    const arranged = arrange({ from, to, blend, free, flat, camera: shared.camera, width, maps: rows });
    return {
      ...arranged, width, mesh, from, to, blend, maps, flat, free, surface, comparing, sides, reach,
      modes: map.index ? [3] : minus ? [2] : [0, 1],
      range: sides === "both" ? [-reach, reach] : [0, reach],
      threshold: minus ? look.least : Math.max(look.threshold ?? 0, map.floor ?? 0),
      row: colours >= 0 ? colours : mesh.palettes.findIndex((palette) => palette.sides === sides),
      outlines: look.outlines,
      pinned: this.pinned,
    };
  }

  /** Bring controls, picture and words up to date. */
  show() {
    if (!this.scene || !this.header) return;
    const { look } = this, shown = this.state;
    const names = this.header.around.find(({ id }) => id === this.current);
    this.find(".title").textContent = names?.name ?? this.map?.name ?? "";
    this.find(".stage").classList.toggle("waiting", !shown);
    this.find(".hint").hidden = true;
    this.need();
    if (!shown) return;
    const { mesh, map } = this;
    this.controls(look, shown);
    this.draw(shown);
    const label = map.index ? map.label : shown.comparing === "minus" ? `${map.label}: ${map.name} − ${shown.maps[1].name}` : map.label;
    const legend = this.find(".legend");
    if (map.index) {
      legend.replaceChildren(...map.names.map((name, i) => swatch(name, categoryColour(map, i))), swatch(map.none.replace("{}", number(shown.threshold)), FOLDS));
    } else {
      const palette = Array.from(mesh.colours.slice(shown.row * 768, (shown.row + 1) * 768));
      const beyond = shown.comparing === "minus" ? {} : { low: map.least < shown.range[0], high: map.greatest > shown.range[1] };
      legend.replaceChildren(colourBar(palette, shown.range, shown.threshold, label, beyond));
      const tested = map.floor > 0 && shown.threshold <= map.floor;
      if (shown.threshold > 0) legend.append(swatch(tested ? "not significant" : `below ${number(shown.threshold)}`, FOLDS));
    }
    if (map.masked) legend.append(swatch("not measured", MASK));
    const words = summary(mesh, map, (v) => this.valueAt(v, shown), shown.threshold);
    if (this.find(".summary").textContent !== words) this.find(".summary").textContent = words;
    this.canvas.setAttribute("aria-label", `${map.name}, ${label}, on the cortical surface. ${words}`);
  }

  draw(shown = this.scene && this.header && this.state) {
    if (!shown) return;
    this.shown = shown;
    this.canvas.style.height = `${shown.height}px`;
    this.scene.draw(shown);
    const over = this.find(".over");
    paneNames(over, shown.panes, shown.panes.some((pane) => pane.map) ? shown.maps.map((map) => map.name) : []);
    if (this.look.names) parcelNames(over, shown.mesh, shown.panes, shown.from, shown.to, shown.blend);
    this.find(".stage").classList.toggle("turns", shown.free && !shown.flat);
    this.drawn = { map: this.current, at: performance.now() };
  }

  valueAt(vertex, shown = this.shown, map = 0) {
    const a = valueOf(shown.maps[map], vertex);
    if (shown.comparing !== "minus" || a === null) return a;
    const b = valueOf(shown.maps[1], vertex);
    return b === null ? null : a - b;
  }

  controls(look, shown) {
    const set = (name, value) => {
      const control = this.find(`[data-look=${name}]`);
      if (!control) return; // `least` shares the threshold's
      if (control.type === "checkbox") control.checked = value;
      else if (this.root.getRootNode().activeElement !== control || control.type !== "number") control.value = control.type === "number" ? Number(value.toPrecision(4)) : value;
    };
    const options = (name, values) => {
      const select = this.find(`[data-look=${name}]`);
      if (select.dataset.made !== values.join()) select.replaceChildren(...values.map((value) => new Option(value, value)));
      select.dataset.made = values.join();
    };
    options("surface", SURFACES.filter((name) => shown.mesh.surfaces[name]));
    options("colours", shown.mesh.palettes.filter(({ sides }) => sides === shown.sides).map(({ name }) => name));
    const slider = this.find("[data-look=threshold]");
    slider.max = this.map.index ? 0.5 : roundUp(shown.reach);
    slider.step = 10 ** Math.floor(Math.log10(slider.max / 20));
    for (const [name, value] of Object.entries({ ...look, surface: shown.surface, blend: shown.blend, range: shown.reach, sides: shown.sides, threshold: shown.threshold, colours: shown.mesh.palettes[shown.row].name, compare: this.reference ? look.compare : "" })) set(name, value);
    this.find(".values output").textContent = number(shown.threshold, slider.step < 0.01 ? 3 : 2);
    this.find(".inflation").hidden = shown.from === shown.to;
    this.root.querySelectorAll(".plain").forEach((label) => (label.hidden = Boolean(this.map.index)));
    const at = this.place();
    this.find("[data-act=previous]").disabled = at <= 0 && this.header.first;
    this.find("[data-act=next]").disabled = at >= this.header.around.length - 1 && this.header.last;
    this.find(".flip").hidden = this.header.around.length < 2;
  }

  // -- What is done with the viewer --

  wire() {
    this.root.addEventListener("input", ({ target }) => {
      const name = target.dataset.look;
      if (!name) return;
      const value = target.type === "checkbox" ? target.checked : target.type === "range" || target.type === "number" ? (target.value === "" ? null : Number(target.value)) : target.value;
      if (name === "compare" && value) this.reference ??= this.current;
      if (name === "range" && !(value > 0)) return;
      if (name === "threshold") this.change(this.thresholdTo(value));
      else this.change(name === "surface" ? { surface: value, blend: null } : { [name]: value });
    });
    this.root.addEventListener("click", ({ target }) => {
      const act = target.dataset.act;
      if (act === "previous" || act === "next") this.flip(act === "next" ? 1 : -1);
      if (act === "restart") {
        Object.assign(shared.camera, START);
        this.change({ blend: null, view: "four" });
      }
    });
  }

  listen() {
    this.events = new AbortController();
    const on = (type, handler, options = {}) => this.canvas.addEventListener(type, handler, { signal: this.events.signal, ...options });
    let drag = null;
    on("pointerdown", (event) => {
      this.find("details").open = false;
      drag = { x: event.clientX, y: event.clientY, moved: 0 };
      this.canvas.setPointerCapture(event.pointerId);
    });
    on("pointermove", (event) => {
      if (!drag) return this.hover(event);
      const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
      drag = { x: event.clientX, y: event.clientY, moved: drag.moved + Math.abs(dx) + Math.abs(dy) };
      if (this.shown?.free && !this.shown.flat && drag.moved > 3) {
        shared.camera.yaw -= dx * 0.01;
        shared.camera.pitch = Math.min(Math.max(shared.camera.pitch + dy * 0.01, -1.57), 1.57);
        this.moved();
      }
    });
    on("pointerup", (event) => {
      if (drag && drag.moved <= 3) this.pin(event);
      drag = null;
    });
    on("pointerleave", () => (this.find(".hint").hidden = true));
    on("wheel", (event) => {
      if (!this.shown?.free || this.shown.flat) return;
      event.preventDefault();
      shared.camera.zoom = Math.min(Math.max(shared.camera.zoom * Math.exp(-event.deltaY * 0.001), 0.5), 8);
      this.moved();
    }, { passive: false });
    on("keydown", (event) => {
      const act = this.keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation(); // Streamlit has shortcuts of its own
      act();
    });
  }

  get keys() {
    const step = Number(this.find("[data-look=threshold]").step);
    const next = (list, value) => list[(list.indexOf(value) + 1) % list.length];
    const threshold = (by) => this.change(this.thresholdTo(Math.max(0, Number((this.shown.threshold + by).toFixed(4)))));
    return {
      ArrowRight: () => this.flip(1),
      ArrowLeft: () => this.flip(-1),
      ArrowUp: () => threshold(step),
      ArrowDown: () => threshold(-step),
      v: () => this.change({ view: next(["four", "free"], this.look.view) }),
      s: () => this.change({ surface: next(SURFACES.filter((name) => this.mesh.surfaces[name]), this.look.surface), blend: null }),
      o: () => this.change({ outlines: !this.look.outlines }),
      n: () => this.change({ names: !this.look.names }),
      c: () => this.compare(),
      Escape: () => this.unpin(),
    };
  }

  /** A difference has a threshold of its own: it is on another scale. */
  thresholdTo(value) {
    return this.shown?.comparing === "minus" ? { least: value } : { threshold: value };
  }

  /** Compare what follows with the map shown now, or stop. */
  compare() {
    this.reference = this.look.compare ? null : this.current;
    this.change({ compare: this.reference ? "beside" : "" });
  }

  change(part) {
    if (part.compare === "") this.reference = null;
    Object.assign(shared.look, part);
    this.show();
    this.later("look", () => shared.look);
  }

  moved() {
    keep();
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  place() {
    return this.header.around.findIndex(({ id }) => id === this.current);
  }

  flip(by) {
    const { around } = this.header, target = around[this.place() + by];
    if (!target) return;
    this.current = target.id;
    this.show();
    const edge = this.place() <= 0 || this.place() >= around.length - 1;
    this.later("flip", () => ({ to: this.current }), edge || !this.map ? 0 : SAY_AFTER_MS);
  }

  /** Ask for maps around the current one that are not here yet. */
  need() {
    clearTimeout(this.timers.need);
    const at = this.place();
    const missing = this.header.around.map(({ id }, i) => [id, Math.abs(i - at)]).filter(([id]) => !shared.maps.has(id));
    if (!this.mesh) missing.push([null, 0]);
    if (!missing.length || this.timers.flip) return;
    this.timers.need = setTimeout(() => {
      const ids = missing.sort((p, q) => p[1] - q[1]).map(([id]) => id).filter(Boolean);
      this.report({ need: ids, mesh: !this.mesh });
    }, SAY_AFTER_MS);
  }

  /** Tell Python something, with all that it has not answered yet, and which maps are here. */
  report(also = {}) {
    const have = [...shared.maps.keys()].filter((id) => id.startsWith(this.header.prefix));
    this.say({ ...this.open, ...also, have, at: (shared.count += 1) }); // a trigger has to differ from the last one
  }

  later(matter, value, after = SAY_AFTER_MS) {
    clearTimeout(this.timers[matter]);
    this.timers[matter] = setTimeout(() => {
      this.timers[matter] = null;
      this.open[matter] = { ...value(), at: (shared.count += 1) };
      this.report();
    }, after);
  }

  under({ x, y }) {
    const pane = this.shown?.panes.find(({ left, top, width, height }) => x >= left && x < left + width && y >= top && y < top + height);
    const vertex = pane ? pick(pane, this.shown.from, this.shown.to, this.shown.blend, x, y) : -1;
    return vertex < 0 ? null : { vertex, pane };
  }

  hover({ offsetX, offsetY }) {
    this.pointed = { x: offsetX, y: offsetY }; // read at once: an event forgets its place when it has passed
    this.hovering ??= requestAnimationFrame(() => {
      this.hovering = null;
      const found = this.under(this.pointed), hint = this.find(".hint");
      hint.hidden = !found;
      if (!found) return;
      hint.textContent = this.describe(found.vertex, found.pane.map);
      const left = Math.min(this.pointed.x + 14, this.shown.width - hint.offsetWidth);
      [hint.style.left, hint.style.top] = [`${Math.max(0, left)}px`, `${this.pointed.y + 40}px`];
    });
  }

  describe(vertex, which = 0) {
    const { mesh, maps } = this.shown, parcel = mesh.labels[vertex], hemisphere = mesh.hemisphere(vertex);
    const where = parcel >= 0 ? mesh.parcels[parcel].join(" ") : `${hemisphere}, no parcel`;
    const value = this.valueAt(vertex, this.shown, which), index = maps[0].index?.[vertex];
    const what = value === null ? "not measured" : `${maps[0].index ? `${maps[0].names[index] ?? "none"} ` : ""}${number(value, 3, true)}`;
    return `${where} · ${what} · vertex ${vertex - (hemisphere === "left" ? 0 : mesh.left)}`;
  }

  pin({ offsetX, offsetY }) {
    const found = this.under({ x: offsetX, y: offsetY });
    if (!found) return;
    this.pinned = found.vertex;
    this.draw();
    this.later("pick", () => ({ vertex: found.vertex }), 0);
  }

  unpin() {
    if (this.pinned === null) return;
    this.pinned = null;
    this.draw();
    this.later("pick", () => ({ vertex: null }), 0);
  }
}

function categoryColour(map, i) {
  return Array.from(map.palette.slice(3 * i, 3 * i + 3), (channel) => Math.round(channel * 255));
}

/** Greatest difference of two maps. */
function farthest(mesh, a, b) {
  let most = 0;
  for (let v = 0; v < mesh.count; v += 1) {
    const [p, q] = [valueOf(a, v), valueOf(b, v)];
    if (p !== null && q !== null) most = Math.max(most, Math.abs(p - q));
  }
  return most;
}

// -- What the components of a page call --

const mounted = new WeakMap();

function takeMesh(bytes) {
  const mesh = new Mesh(bytes);
  if (!shared.meshes.has(mesh.id)) shared.meshes.set(mesh.id, mesh);
  shared.viewers.forEach((viewer) => viewer.show());
}

/** Show a component's data in its place; returns what to do when it goes. */
function mount(component) {
  const place = component.parentElement;
  if (!mounted.has(place)) mounted.set(place, new Viewer(place));
  mounted.get(place).update(component);
  return () => left(place);
}

/** A component may have gone: Streamlit also says so of data that it has skipped. */
function left(place) {
  setTimeout(() => {
    if (place.isConnected) return;
    mounted.get(place)?.stop();
    mounted.delete(place);
  }, 0);
}

window.saebrain = { mount, left, takeMesh, shared };
for (const component of window.saebrainWaiting?.values() ?? []) mount(component);
window.saebrainWaiting?.clear();
