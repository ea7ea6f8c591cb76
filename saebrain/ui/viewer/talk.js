// What a viewer says to Python.
//
// The browser decides how maps look and may run ahead of Python: it flips to maps it holds at once and tells later. What it
// tells carries a number and is told again until Python has answered it: Streamlit keeps only the last of several reports that
// come while a page is being drawn. Until then, what Python says of that matter is old.

const SAY_AFTER_MS = 300;
const LEAVING_MS = 3000; // after a link was followed
const ANSWERED_MS = 500; // after which what Python says answers the link, not what was told before

class Talk {
  constructor(viewer) {
    this.viewer = viewer;
    this.path = location.pathname;
    this.open = {}; // what was told of flips, looks and picks, and not answered yet
    this.timers = {};
    this.left = -Infinity;
  }

  /** What Python has answered so far, and how to say more. */
  hear(seen, say) {
    this.say = say;
    if (performance.now() - this.left > ANSWERED_MS) this.left = -Infinity;
    for (const matter of ["flip", "look", "pick"]) if (this.open[matter]?.at <= seen[matter]) delete this.open[matter];
  }

  settled(matter) {
    return !this.open[matter] && !this.timers[matter];
  }

  /** Tell something, with all that has not been answered yet, and which maps are here. */
  report(also = {}) {
    // The reader has gone to another page, or is going: a report now would bring this one back, or leave the other one empty.
    if (location.pathname !== this.path) return;
    const wait = this.left + LEAVING_MS - performance.now();
    if (wait > 0) {
      clearTimeout(this.timers.stay);
      this.timers.stay = setTimeout(() => this.report(also), wait);
      return;
    }
    const have = [...shared.maps.keys()].filter((id) => id.startsWith(this.viewer.header.prefix));
    this.say({ ...this.open, ...also, have, at: (shared.count += 1) }); // a trigger has to differ from the last one
  }

  /** Tell of a matter when it has rested for a while. */
  later(matter, value, after = SAY_AFTER_MS) {
    clearTimeout(this.timers[matter]);
    this.timers[matter] = setTimeout(() => {
      this.timers[matter] = null;
      this.open[matter] = { ...value(), at: (shared.count += 1) };
      this.report();
    }, after);
  }

  /** A link was followed: nothing more is told for a while, unless it led to this page. */
  leave() {
    this.left = performance.now();
  }

  /** Ask for maps around the current one that are not here yet, and for the mesh. */
  ask() {
    const { viewer, timers } = this, { around } = viewer.header;
    clearTimeout(timers.need);
    const at = viewer.place();
    const missing = around.map(({ id }, i) => [id, Math.abs(i - at)]).filter(([id]) => !shared.maps.has(id));
    if (!viewer.mesh) missing.push([null, 0]);
    if (!missing.length || timers.flip) return;
    timers.need = setTimeout(() => {
      const ids = missing.sort((p, q) => p[1] - q[1]).map(([id]) => id).filter(Boolean);
      this.report({ need: ids, mesh: !viewer.mesh });
    }, SAY_AFTER_MS);
  }

  stop() {
    Object.values(this.timers).forEach(clearTimeout);
  }
}
