// A canvas with its graphics context, and the mesh and maps that were given to it. One is kept for the whole session.

const GREYS = [214 / 255, 168 / 255, 104 / 255, 0.2]; // gyrus, sulcus, mask; curvature (1/mm) of the greatest byte
const LIGHT = [0, 0.42, 0.91]; // right, up, towards the viewer
const PIN_SIZE = 13;
const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;

class Scene {
  constructor() {
    this.canvas = document.createElement("canvas");
    const gl = this.canvas.getContext("webgl2", { antialias: false, alpha: true });
    if (!gl) throw new NoWebGL();
    this.gl = gl;
    const info = gl.getExtension("WEBGL_debug_renderer_info");
    this.slow = SOFTWARE.test(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
    this.fine = { frame: gl.createFramebuffer(), colour: gl.createRenderbuffer(), depth: gl.createRenderbuffer(), size: [] };
    this.surfaces = new Map();
    this.border = compile(gl, BORDER_VERTEX, BORDER_PIXEL);
    this.pin = compile(gl, PIN_VERTEX, PIN_PIXEL);
    this.buffers = new Map();
    this.colours = gl.createTexture();
  }

  /** Content of a buffer by name; `content` is called only when what the buffer stands for has changed. */
  fill(name, made, content, target = this.gl.ARRAY_BUFFER) {
    const { gl } = this;
    let held = this.buffers.get(name);
    if (!held) this.buffers.set(name, (held = { buffer: gl.createBuffer(), made: null }));
    gl.bindBuffer(target, held.buffer);
    if (held.made !== made) {
      const array = content();
      gl.bufferData(target, array, gl.DYNAMIC_DRAW);
      Object.assign(held, { made, length: array.length });
    }
    return held;
  }

  /** Use a buffer as an attribute, if the program has it. */
  feed(program, attribute, held, size, type, normalised = false, stride = 0, offset = 0) {
    const { gl } = this, at = program.attributes[attribute];
    if (at === undefined) return;
    gl.bindBuffer(gl.ARRAY_BUFFER, held.buffer);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, size, type, normalised, stride, offset);
  }

  /**
   * Draw, with smooth edges unless it has to be quick: a software renderer takes more than twice as long for them.
   * `shown`: mesh, from, to, blend, panes, maps (one or two), mode, range, threshold, row, outlines, pinned, width, height, ratio.
   */
  draw(shown, smooth = true) {
    const { gl, canvas } = this, { width, height, ratio } = shown;
    const size = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    if (this.mesh !== shown.mesh) this.take(shown.mesh);
    gl.bindFramebuffer(gl.FRAMEBUFFER, smooth ? this.fineFrame(size) : null);
    this.drawPanes(shown, size);
    if (!smooth) return;
    gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, null);
    gl.blitFramebuffer(0, 0, ...size, 0, 0, ...size, gl.COLOR_BUFFER_BIT, gl.NEAREST);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  }

  /** A picture of several samples a pixel, to be drawn into and then copied. */
  fineFrame(size) {
    const { gl, fine } = this;
    if (fine.size.join() !== size.join()) {
      const samples = Math.min(4, gl.getParameter(gl.MAX_SAMPLES));
      gl.bindFramebuffer(gl.FRAMEBUFFER, fine.frame);
      for (const [buffer, format, point] of [[fine.colour, gl.RGBA8, gl.COLOR_ATTACHMENT0], [fine.depth, gl.DEPTH_COMPONENT24, gl.DEPTH_ATTACHMENT]]) {
        gl.bindRenderbuffer(gl.RENDERBUFFER, buffer);
        gl.renderbufferStorageMultisample(gl.RENDERBUFFER, samples, format, ...size);
        gl.framebufferRenderbuffer(gl.FRAMEBUFFER, point, gl.RENDERBUFFER, buffer);
      }
      fine.size = size;
    }
    return fine.frame;
  }

  drawPanes(shown, size) {
    const { gl } = this, { mesh, ratio } = shown;
    gl.viewport(0, 0, ...size);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.CULL_FACE); // what turns away is never seen
    for (const pane of shown.panes) {
      const [w, h] = [Math.round(pane.width * ratio), Math.round(pane.height * ratio)];
      gl.viewport(Math.round(pane.left * ratio), size[1] - Math.round(pane.top * ratio) - h, w, h);
      const camera = cameraMatrix(pane);
      this.drawSurface(shown, pane, camera);
      if (shown.outlines) this.drawBorders(shown, pane, camera, [2 / w, 2 / h], ratio);
      if (shown.pinned !== null && (pane.hemisphere === "both" || pane.hemisphere === mesh.hemisphere(shown.pinned))) this.drawPin(shown, pane, camera, ratio);
    }
  }

  take(mesh) {
    const { gl } = this;
    this.mesh = mesh;
    gl.bindTexture(gl.TEXTURE_2D, this.colours);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB8, 256, mesh.palettes.length, 0, gl.RGB, gl.UNSIGNED_BYTE, mesh.colours);
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, filter, gl.NEAREST);
  }

  surfaceProgram(versions) {
    const key = versions.join();
    if (!this.surfaces.has(key)) this.surfaces.set(key, compile(this.gl, SURFACE_VERTEX, SURFACE_PIXEL, versions));
    return this.surfaces.get(key);
  }

  drawSurface({ mesh, from, to, blend, maps, modes, range, threshold, row }, pane, camera) {
    const { gl } = this, blends = blend > 0 && blend < 1;
    const surfaces = blends ? [[0, from], [1, to]] : [[0, blend < 1 ? from : to]];
    const mode = modes[pane.map], categories = mode === 3, pair = maps.length > 1;
    const compiled = this.surfaceProgram([...(blends ? ["BLEND"] : []), ...(pair ? ["PAIR"] : []), ...(categories ? ["CATEGORIES"] : [])]);
    const { uniforms: u } = compiled;
    gl.useProgram(compiled.program);
    this.clearAttributes();
    const feed = (name, held, ...layout) => this.feed(compiled, name, held, ...layout);
    for (const [slot, surface] of surfaces) {
      feed(`p${slot}`, this.fill(`points ${slot}`, surface, () => surface.points), 3, gl.FLOAT);
      feed(`n${slot}`, this.fill(`normals ${slot}`, surface, () => surface.normals), 3, gl.FLOAT);
    }
    feed("fold", this.fill("folds", mesh, () => mesh.folds), 1, gl.UNSIGNED_BYTE, true);
    const [a, b] = [maps[0], maps[1] ?? maps[0]];
    feed("a", this.fill("a", a, () => a.bytes), 1, gl.UNSIGNED_BYTE);
    if (pair) feed("b", this.fill("b", b, () => b.bytes), 1, gl.UNSIGNED_BYTE);
    if (categories) {
      const held = this.fill("categories", a, () => oneHot(a.index));
      for (let i = 0; i < 3; i += 1) feed(`c${i}`, held, 4, gl.UNSIGNED_BYTE, true, 12, 4 * i);
      gl.uniform3fv(u.palette, a.palette);
    }
    gl.uniform1i(u.mode, mode);
    gl.uniform1f(u.blend, blend);
    gl.uniformMatrix4fv(u.camera, false, camera);
    gl.uniform3fv(u.light, [0, 1, 2].map((axis) => LIGHT[0] * pane.axes[axis] + LIGHT[1] * pane.axes[3 + axis] + LIGHT[2] * pane.axes[6 + axis]));
    gl.uniform2fv(u.spanA, a.span);
    gl.uniform2fv(u.spanB, b.span);
    gl.uniform2fv(u.range, range);
    gl.uniform1f(u.threshold, threshold);
    gl.uniform1f(u.row, row);
    gl.uniform4fv(u.greys, GREYS);
    gl.bindTexture(gl.TEXTURE_2D, this.colours);
    const { faces } = from, type = faces.BYTES_PER_ELEMENT === 2 ? gl.UNSIGNED_SHORT : gl.UNSIGNED_INT;
    this.fill("faces", faces, () => faces, gl.ELEMENT_ARRAY_BUFFER);
    const [start, stop] = from.faceRange(pane.hemisphere);
    gl.drawElements(gl.TRIANGLES, stop - start, type, start * faces.BYTES_PER_ELEMENT);
  }

  drawBorders({ mesh, from, to, blend }, pane, camera, pixel, ratio) {
    const { gl } = this, { uniforms: u, program } = this.border;
    gl.useProgram(program);
    this.clearAttributes();
    if (this.borderOf !== from.faces) [this.borderOf, this.ends] = [from.faces, borders(from.faces, mesh.labels)];
    const { ends } = this;
    for (const [slot, surface] of [[0, from], [1, to]]) {
      const held = this.fill(`borders ${slot}`, surface, () => placed(ends, surface.points));
      this.feed(this.border, `a${slot}`, held, 3, gl.FLOAT, false, 24, 0);
      this.feed(this.border, `b${slot}`, held, 3, gl.FLOAT, false, 24, 12);
    }
    this.fill("border corners", ends, () => strips(ends.length / 4), gl.ELEMENT_ARRAY_BUFFER);
    gl.uniform1f(u.blend, blend);
    gl.uniform1f(u.nearer, 0.7 / pane.depth); // 0.7 mm in front of the surface
    gl.uniform2fv(u.pixel, pixel.map((length) => length * ratio));
    gl.uniformMatrix4fv(u.camera, false, camera);
    const split = piecesBefore(ends, mesh.left), pieces = ends.length / 4;
    const [start, stop] = { left: [0, split], right: [split, pieces], both: [0, pieces] }[pane.hemisphere];
    gl.drawElements(gl.TRIANGLES, 6 * (stop - start), gl.UNSIGNED_INT, 24 * start);
  }

  drawPin({ from, to, blend, pinned }, pane, camera, ratio) {
    const { gl } = this, { uniforms: u, program } = this.pin;
    gl.useProgram(program);
    this.clearAttributes();
    const at = [0, 1, 2].map((axis) => from.points[pinned * 3 + axis] * (1 - blend) + to.points[pinned * 3 + axis] * blend);
    gl.uniform3fv(u.at, at);
    gl.uniformMatrix4fv(u.camera, false, camera);
    gl.uniform1f(u.size, PIN_SIZE * ratio);
    gl.uniform1f(u.nearer, 4 / pane.depth);
    gl.drawArrays(gl.POINTS, 0, 1);
  }

  clearAttributes() {
    for (let i = 0; i < 8; i += 1) this.gl.disableVertexAttribArray(i);
  }

  /** Give the context back: browsers allow few of them. */
  destroy() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

class NoWebGL extends Error {}

/** Categories as twelve bytes a vertex, 255 in the place of its own; the last place is "none". */
function oneHot(index) {
  const bytes = new Uint8Array(index.length * 12);
  for (let v = 0; v < index.length; v += 1) bytes[v * 12 + Math.min(index[v], 11)] = 255;
  return bytes;
}
