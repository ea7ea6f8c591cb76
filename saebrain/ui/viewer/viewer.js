// One viewer on a page: what it shows. What is done with it: hands.js; what it says to Python: talk.js.

const REST_MS = 150; // before a slow renderer makes edges smooth; longer on finer meshes, so that it is not at work when the next key comes
const RESTED_VERTICES = 80_000;

class Viewer {
  constructor(root) {
    this.root = element("div", { className: "viewer" });
    this.root.innerHTML = PANEL;
    this.style = element("style", { textContent: STYLE });
    root.append(this.style, this.root);
    this.find = (selector) => this.root.querySelector(selector);
    this.talk = new Talk(this);
    this.reference = null;
    wire(this);
    this.resized = new ResizeObserver(() => this.drawIfChanged());
    this.resized.observe(this.find(".stage"));
    shared.viewers.add(this);
  }

  /** What Python says. */
  update({ data, setTriggerValue }) {
    const { header, body } = unpack(data);
    header.maps.forEach((record) => holdMap(record, body));
    this.header = header;
    this.talk.hear(header.seen, (report) => setTriggerValue?.("report", report));
    const settled = (matter) => this.talk.settled(matter);
    if (settled("flip")) this.current = header.current;
    if (settled("look")) Object.assign(shared.look, header.look);
    if (settled("pick")) this.pinned = header.pinned;
    // After the page has let go of the viewer it replaces, so that its context can be taken over.
    if (this.scene) this.show(true);
    else setTimeout(() => this.root.isConnected && this.start(), 0);
  }

  start() {
    try {
      this.scene ??= shared.scenes.pop() ?? new Scene();
    } catch (error) {
      if (!(error instanceof NoWebGL)) throw error;
      this.find(".tools").hidden = true;
      Object.assign(this.find(".summary"), { className: "summary missing", textContent: "This browser draws no WebGL: the map is shown as a picture." });
      if (!this.missing) this.talk.report({ missing: true });
      this.missing = true;
      return;
    }
    this.canvas = this.scene.canvas;
    Object.assign(this.canvas, { tabIndex: 0 });
    this.canvas.setAttribute("role", "img");
    this.find(".stage").prepend(this.canvas);
    this.events = listen(this);
    this.show(true);
  }

  /** Leave the page; the context is kept for the next viewer, one of them. */
  stop() {
    this.resized.disconnect();
    this.events?.abort();
    this.talk.stop();
    clearTimeout(this.rest);
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
      names: look.names,
      pinned: this.pinned,
      ratio: Math.min(window.devicePixelRatio || 1, 2),
    };
  }

  /** Bring controls, picture and words up to date. */
  show(hurried = false) {
    if (!this.scene || !this.header) return;
    const { look } = this, shown = this.state;
    const names = this.header.around.find(({ id }) => id === this.current);
    this.find(".title").textContent = names?.name ?? this.map?.name ?? "";
    this.find(".stage").classList.toggle("waiting", !shown);
    this.find(".hint").hidden = true;
    this.talk.ask();
    if (!shown) return;
    const { mesh, map } = this;
    setControls(this, look, shown);
    this.drawIfChanged(shown, hurried);
    setLegend(this, shown);
    const words = summary(mesh, map, (v) => this.valueAt(v, shown), shown.threshold);
    if (this.find(".summary").textContent !== words) this.find(".summary").textContent = words;
    this.canvas.setAttribute("aria-label", `${map.name}, ${labelOf(map, shown)}, on the cortical surface. ${words}`);
  }

  /** Draw, unless the canvas shows just that: most of what Python says changes nothing of it. */
  drawIfChanged(shown = this.scene && this.header && this.state, hurried = false) {
    if (!shown) return;
    if (this.shown && this.drawingOf(shown) === this.drawingOf(this.shown) && shown.maps.every((map, i) => map === this.shown.maps[i])) return;
    this.draw(shown, hurried);
  }

  /** What a drawing depends on, but for the maps' values, as text. */
  drawingOf({ mesh, from, to, maps, reach, ...rest }) {
    return JSON.stringify([mesh.id, maps.length, rest]);
  }

  /** Draw; if `hurried`, a slow renderer makes edges smooth only once nothing has changed for a while. */
  draw(shown = this.scene && this.header && this.state, hurried = false) {
    if (!shown) return;
    this.shown = shown;
    this.canvas.style.height = `${shown.height}px`;
    const rough = hurried && this.scene.slow;
    this.scene.draw(shown, !rough);
    clearTimeout(this.rest);
    if (rough) this.rest = setTimeout(() => this.draw(), REST_MS * Math.max(1, shown.mesh.count / RESTED_VERTICES));
    const over = this.find(".over");
    paneNames(over, shown.panes, shown.panes.some((pane) => pane.map) ? shown.maps.map((map) => map.name) : []);
    if (shown.names) parcelNames(over, shown.mesh, shown.panes, shown.from, shown.to, shown.blend);
    this.find(".stage").classList.toggle("turns", shown.free && !shown.flat);
    this.drawn = { map: this.current, at: performance.now() };
  }

  valueAt(vertex, shown = this.shown, map = 0) {
    const a = valueOf(shown.maps[map], vertex);
    if (shown.comparing !== "minus" || a === null) return a;
    const b = valueOf(shown.maps[1], vertex);
    return b === null ? null : a - b;
  }

  /** The vertex under a place on the canvas, and its pane. */
  under({ x, y }) {
    const { panes, from, to, blend } = this.shown ?? { panes: [] };
    const pane = panes.find(({ left, top, width, height }) => x >= left && x < left + width && y >= top && y < top + height);
    const vertex = pane ? pick(pane, from, to, blend, x, y) : -1;
    return vertex < 0 ? null : { vertex, pane };
  }

  // -- What is done with the viewer --

  change(part) {
    if (part.compare === "") this.reference = null;
    Object.assign(shared.look, part);
    this.show(true);
    this.talk.later("look", () => shared.look);
  }

  moved() {
    keep();
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw(undefined, true);
    });
  }

  place() {
    return this.header.around.findIndex(({ id }) => id === this.current);
  }

  flip(by) {
    const { around } = this.header, target = around[this.place() + by];
    if (!target) return;
    this.current = target.id;
    this.show(true);
    const edge = this.place() <= 0 || this.place() >= around.length - 1;
    this.talk.later("flip", () => ({ to: this.current }), edge || !this.map ? 0 : SAY_AFTER_MS);
  }
}
