// What outlives reruns and page changes: meshes, maps, the camera, how maps look. A reload keeps the camera.

const SURFACES = ["inflated", "pial", "white", "flat"];
const DEFAULTS = { surface: "inflated", view: "four", blend: null, threshold: null, range: null, sides: null, colours: null, compare: "", outlines: false, names: false, least: 0 };
const MOST_MAPS = 96; // kept; about 2 MB
const KEPT = "saebrain surface viewer";

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

/** Greatest difference of two maps. */
function farthest(mesh, a, b) {
  let most = 0;
  for (let v = 0; v < mesh.count; v += 1) {
    const [p, q] = [valueOf(a, v), valueOf(b, v)];
    if (p !== null && q !== null) most = Math.max(most, Math.abs(p - q));
  }
  return most;
}
