// Where each view stands on the canvas, and how it looks at the brain. Always without perspective.

// Rows: what points to the right, up, and towards the viewer, in right, anterior, superior.
const VIEWS = [
  { name: "Left lateral", hemisphere: "left", axes: [0, -1, 0, 0, 0, 1, -1, 0, 0] },
  { name: "Left medial", hemisphere: "left", axes: [0, 1, 0, 0, 0, 1, 1, 0, 0] },
  { name: "Right medial", hemisphere: "right", axes: [0, -1, 0, 0, 0, 1, -1, 0, 0] },
  { name: "Right lateral", hemisphere: "right", axes: [0, 1, 0, 0, 0, 1, 1, 0, 0] },
];
const FLAT_VIEWS = [
  { name: "Left, flat", hemisphere: "left", axes: [1, 0, 0, 0, 1, 0, 0, 0, 1] },
  { name: "Right, flat", hemisphere: "right", axes: [1, 0, 0, 0, 1, 0, 0, 0, 1] },
];
const NARROW = 700; // below this width four views stand in two rows
const MOST_HIGH = 560;
const FILL = 1.55; // the free view's box is long and flat: its diagonal may reach beyond the canvas
const LABEL = 20; // room for a view's name between rows
const START = { yaw: -0.9, pitch: 0.35, zoom: 1 };

/** Axes of the free view: from behind, turned about the head's long axis, then tilted. */
function turned({ yaw, pitch }) {
  const [c, s, k, t] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
  const right = [c, s, 0], back = [s, -c, 0];
  return [...right, -t * back[0], -t * back[1], k, k * back[0], k * back[1], t];
}

/** Box of a blend between two surfaces: exact at its ends, near enough between them. */
function blendedBox(from, to, blend, hemisphere, axes) {
  const [a, b] = [from.box(hemisphere, axes), to.box(hemisphere, axes)];
  const mix = (p, q) => p.map((value, i) => value + (q[i] - value) * blend);
  return { low: mix(a.low, b.low), high: mix(a.high, b.high) };
}

/**
 * Panes of a canvas of some width.
 * maps: how many are shown, one above the other. Returns { panes, height }; lengths in CSS pixels, y downwards.
 */
function arrange({ from, to, blend, free, flat, camera, width, maps }) {
  const views = flat ? FLAT_VIEWS : VIEWS;
  const panes = [];
  let top = 0, between = 0;
  for (let map = 0; map < maps; map += 1) {
    if (free && !flat) {
      const height = Math.round(Math.min(Math.max(width * 0.55, 300), MOST_HIGH) / (maps > 1 ? 1.4 : 1));
      // Of the same size from all sides, so that turning does not zoom: by the box's diagonal.
      const fixed = blendedBox(from, to, blend, "both", [1, 0, 0, 0, 1, 0, 0, 0, 1]);
      const centre = fixed.low.map((low, i) => (low + fixed.high[i]) / 2);
      const radius = Math.hypot(...fixed.low.map((low, i) => (fixed.high[i] - low) / 2));
      const axes = turned(camera);
      const middle = [0, 1, 2].map((row) => axes[row * 3] * centre[0] + axes[row * 3 + 1] * centre[1] + axes[row * 3 + 2] * centre[2]);
      const scale = (Math.min(height, width) / (2 * radius)) * FILL * camera.zoom;
      panes.push({ name: "Free view", hemisphere: "both", axes, map, left: 0, top, width, height, scale, middle, depth: radius * 1.1 });
      top += height;
      continue;
    }
    const rows = !flat && width < NARROW ? [views.slice(0, 2), views.slice(2)] : [views];
    const gap = Math.max(2, Math.round(width * 0.012));
    const boxes = new Map(views.map((view) => [view, blendedBox(from, to, blend, view.hemisphere, view.axes)]));
    const wide = (view) => boxes.get(view).high[0] - boxes.get(view).low[0];
    const high = (view) => boxes.get(view).high[1] - boxes.get(view).low[1];
    const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
    const room = width - gap * (rows[0].length - 1) - 2 * rows[0].length;
    const highest = Math.max(...views.map(high));
    const scale = Math.min(room / Math.max(...rows.map((row) => sum(row.map(wide)))), (MOST_HIGH - 2) / highest);
    const height = Math.ceil(highest * scale) + 2;
    for (const row of rows) {
      const columns = row.map((view) => Math.trunc(wide(view) * scale) + 1);
      let left = Math.trunc((width - sum(columns) - gap * (row.length - 1)) / 2);
      row.forEach((view, i) => {
        const { low, high: top3 } = boxes.get(view);
        const middle = low.map((value, axis) => (value + top3[axis]) / 2);
        panes.push({ ...view, map, left, top, width: columns[i], height, scale, middle, depth: (top3[2] - low[2]) / 2 + 1 });
        left += columns[i] + gap;
      });
      between = gap + LABEL;
      top += height + between;
    }
  }
  return { panes, height: Math.max(top - between, 1) };
}

/** Column-major matrix from mm to clip space of a pane. */
function cameraMatrix({ axes, scale, width, height, middle, depth }) {
  const factors = [(2 * scale) / width, (2 * scale) / height, -1 / depth];
  const out = new Float32Array(16);
  for (let row = 0; row < 3; row += 1) {
    for (let axis = 0; axis < 3; axis += 1) out[axis * 4 + row] = axes[row * 3 + axis] * factors[row];
    out[12 + row] = -middle[row] * factors[row];
  }
  out[15] = 1;
  return out;
}

/** Place on the canvas and nearness of a vertex. */
function project(pane, x, y, z) {
  const { axes: a, middle, scale } = pane;
  return [
    pane.left + pane.width / 2 + (a[0] * x + a[1] * y + a[2] * z - middle[0]) * scale,
    pane.top + pane.height / 2 - (a[3] * x + a[4] * y + a[5] * z - middle[1]) * scale,
    a[6] * x + a[7] * y + a[8] * z,
  ];
}

/** The vertex that is seen at a place of a pane, -1 beside the mesh: of the nearest face there, the nearest corner. */
function pick(pane, from, to, blend, x, y) {
  const count = from.points.length / 3;
  const [first, last] = pane.hemisphere === "both" ? [0, count] : pane.hemisphere === "left" ? [0, from.mesh.left] : [from.mesh.left, count];
  const across = new Float32Array(count), down = new Float32Array(count), near = new Float32Array(count);
  for (let v = first; v < last; v += 1) {
    const i = v * 3, p = from.points, q = to.points;
    const at = project(pane, p[i] + (q[i] - p[i]) * blend, p[i + 1] + (q[i + 1] - p[i + 1]) * blend, p[i + 2] + (q[i + 2] - p[i + 2]) * blend);
    [across[v], down[v], near[v]] = at;
  }
  let found = -1, nearest = -Infinity;
  const [start, stop] = from.faceRange(pane.hemisphere), { faces } = from;
  for (let f = start; f < stop; f += 3) {
    const a = faces[f], b = faces[f + 1], c = faces[f + 2];
    if (Math.min(across[a], across[b], across[c]) > x || Math.max(across[a], across[b], across[c]) < x) continue;
    if (Math.min(down[a], down[b], down[c]) > y || Math.max(down[a], down[b], down[c]) < y) continue;
    const area = (down[b] - down[c]) * (across[a] - across[c]) + (across[c] - across[b]) * (down[a] - down[c]);
    if (area === 0) continue;
    const u = ((down[b] - down[c]) * (x - across[c]) + (across[c] - across[b]) * (y - down[c])) / area;
    const v = ((down[c] - down[a]) * (x - across[c]) + (across[a] - across[c]) * (y - down[c])) / area;
    const w = 1 - u - v;
    if (u < 0 || v < 0 || w < 0) continue;
    const depth = u * near[a] + v * near[b] + w * near[c];
    if (depth > nearest) {
      nearest = depth;
      found = u >= v && u >= w ? a : v >= w ? b : c;
    }
  }
  return found;
}
