// What is known of a mesh: surfaces with their normals, parcels and their borders, how large each view is.

/** A message from Python: length of a JSON header (uint32), the header, and bytes that follow at a multiple of 8. */
function unpack(bytes) {
  const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + size)));
  return { header, body: bytes.subarray(4 + size) };
}

const ARRAYS = { uint8: Uint8Array, uint16: Uint16Array, int16: Int16Array, uint32: Uint32Array };

class Mesh {
  constructor(bytes) {
    const { header, body } = unpack(bytes);
    const parts = {};
    for (const { name, type, start, length } of header.parts) {
      // A copy: typed arrays need their own alignment, and the message itself is then let go.
      parts[name] = new ARRAYS[type](body.slice(start, start + length).buffer);
    }
    Object.assign(this, { id: header.id, count: header.vertices, left: header.left, parcels: header.parcels, palettes: header.palettes });
    this.folds = parts.folds;
    this.labels = parts.labels;
    this.colours = parts.colours;
    this.surfaces = {};
    for (const [name, { low, step, own }] of Object.entries(header.surfaces)) {
      this.surfaces[name] = new Surface(this, parts[`points ${name}`], low, step, parts[own ? `faces ${name}` : "faces"]);
    }
  }

  hemisphere(vertex) {
    return vertex < this.left ? "left" : "right";
  }
}

class Surface {
  constructor(mesh, packed, low, step, faces) {
    this.mesh = mesh;
    this.faces = faces;
    this.points = new Float32Array(packed.length);
    for (let i = 0; i < packed.length; i += 1) this.points[i] = low[i % 3] + packed[i] * step[i % 3];
    let first = 0;
    while (first < faces.length && faces[first] < mesh.left) first += 3;
    this.split = first; // faces of the left hemisphere come first
    this.boxes = new Map();
  }

  faceRange(hemisphere) {
    if (hemisphere === "both") return [0, this.faces.length];
    return hemisphere === "left" ? [0, this.split] : [this.split, this.faces.length];
  }

  /** Unit normals, weighted by the area of the adjacent faces. Made when first needed: a mesh has surfaces nobody looks at. */
  get normals() {
    if (this.made) return this.made;
    const { points: p, faces } = this;
    const normals = new Float32Array(p.length);
    for (let f = 0; f < faces.length; f += 3) {
      const [a, b, c] = [faces[f] * 3, faces[f + 1] * 3, faces[f + 2] * 3];
      const [ux, uy, uz] = [p[b] - p[a], p[b + 1] - p[a + 1], p[b + 2] - p[a + 2]];
      const [vx, vy, vz] = [p[c] - p[a], p[c + 1] - p[a + 1], p[c + 2] - p[a + 2]];
      const [x, y, z] = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
      for (const corner of [a, b, c]) {
        normals[corner] += x;
        normals[corner + 1] += y;
        normals[corner + 2] += z;
      }
    }
    for (let i = 0; i < normals.length; i += 3) {
      const length = Math.hypot(normals[i], normals[i + 1], normals[i + 2]) || 1;
      for (let axis = 0; axis < 3; axis += 1) normals[i + axis] /= length;
    }
    this.made = normals;
    return normals;
  }

  /** Least and greatest position to the right and up in a view, and towards the viewer, of the vertices that faces use. */
  box(hemisphere, axes) {
    const key = `${hemisphere} ${axes}`;
    if (!this.boxes.has(key)) {
      const [start, stop] = this.faceRange(hemisphere);
      const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
      for (let f = start; f < stop; f += 1) {
        const v = this.faces[f] * 3;
        for (let row = 0; row < 3; row += 1) {
          const at = axes[row * 3] * this.points[v] + axes[row * 3 + 1] * this.points[v + 1] + axes[row * 3 + 2] * this.points[v + 2];
          if (at < low[row]) low[row] = at;
          if (at > high[row]) high[row] = at;
        }
      }
      if (this.boxes.size > 12) this.boxes.clear(); // a free view makes a new one at every turn
      this.boxes.set(key, { low, high });
    }
    return this.boxes.get(key);
  }
}

/** Borders between parcels: pieces that join the middles of a face's edges, as vertices, so that they fit any surface. */
function borders(faces, labels) {
  const ends = []; // 4 vertices a piece: its ends lie half-way between the first two and between the last two
  for (let f = 0; f < faces.length; f += 3) {
    const corners = [faces[f], faces[f + 1], faces[f + 2]];
    const [a, b, c] = corners;
    if (labels[a] === labels[b] && labels[b] === labels[c]) continue;
    const edges = [[a, b], [b, c], [c, a]].filter(([p, q]) => labels[p] !== labels[q]);
    for (let e = 1; e < edges.length; e += 1) ends.push(...edges[e - 1], ...edges[e]);
  }
  return new Uint32Array(ends);
}

/** Both ends of border pieces on one surface, for each of the four corners that a piece is drawn with. */
function placed(ends, points) {
  const out = new Float32Array(ends.length * 6);
  for (let e = 0; e < ends.length; e += 4) {
    for (let end = 0; end < 2; end += 1) {
      const p = ends[e + 2 * end] * 3, q = ends[e + 2 * end + 1] * 3;
      for (let axis = 0; axis < 3; axis += 1) {
        const middle = (points[p + axis] + points[q + axis]) / 2;
        for (let corner = 0; corner < 4; corner += 1) out[(e + corner) * 6 + 3 * end + axis] = middle;
      }
    }
  }
  return out;
}

/** Two triangles for every piece of four corners. */
function strips(pieces) {
  const out = new Uint32Array(pieces * 6);
  for (let piece = 0; piece < pieces; piece += 1) out.set([0, 1, 2, 2, 1, 3].map((corner) => 4 * piece + corner), 6 * piece);
  return out;
}

/** How many pieces lie in the left hemisphere; they come first, as its faces do. */
function piecesBefore(ends, left) {
  let low = 0, high = ends.length / 4;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[4 * middle] < left) low = middle + 1;
    else high = middle;
  }
  return low;
}
