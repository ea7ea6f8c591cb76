// What the graphics card does. Values are interpolated between vertices, then coloured pixel by pixel.

// Compiled in up to eight versions, as software renderers pay for every attribute and every number that is interpolated:
// BLEND between two surfaces, PAIR of maps, CATEGORIES.
const SURFACE_VERTEX = `
in vec3 p0, n0;
in float fold, a;          // bytes: curvature; value, 0 where nothing was measured
uniform mat4 camera;
uniform vec3 light;
out vec4 vertex;           // curvature, light, value of a where measured, how much of it is measured
vec2 measured(float byte) { float known = step(0.5, byte); return vec2(known * (byte - 1.0) / 254.0, known); }
#ifdef BLEND
in vec3 p1, n1;
uniform float blend;
#endif
#ifdef PAIR
in float b;
out vec2 second;           // the same of b
#endif
#ifdef CATEGORIES
in vec4 c0, c1, c2;        // 1 in the place of the vertex' category
out vec4 v0, v1, v2;
#endif
void main() {
  vec3 p = p0, n = n0;
#ifdef BLEND
  p = mix(p0, p1, blend); n = mix(n0, n1, blend);
#endif
  gl_Position = camera * vec4(p, 1.0);
  vertex = vec4(fold, max(dot(normalize(n + 1e-9), light), 0.0), measured(a));
#ifdef PAIR
  second = measured(b);
#endif
#ifdef CATEGORIES
  v0 = c0; v1 = c1; v2 = c2;
#endif
}`;

const SURFACE_PIXEL = `
precision highp float;
in vec4 vertex;
uniform vec2 spanA, spanB; // values of the least and the greatest byte
uniform vec2 range;        // values of the first and the last colour
uniform float threshold, row;
uniform vec4 greys;        // gyrus, sulcus, mask; curvature at the end of the bytes
uniform sampler2D colours;
out vec4 colour;
float value(vec2 v, vec2 span) { return span.x + v.x / max(v.y, 0.5) * (span.y - span.x); }
#ifdef PAIR
in vec2 second;
uniform int mode;          // 0: a, 1: b, 2: a - b
#endif
#ifdef CATEGORIES
in vec4 v0, v1, v2;
uniform vec3 palette[12];
#endif
vec3 shade() {
  vec3 folds = vec3(mix(greys.x, greys.y, clamp((vertex.x * 2.0 - 1.0) * greys.w / 0.08 + 0.5, 0.0, 1.0)));
  float known = vertex.w, x = value(vertex.zw, spanA);
#ifdef PAIR
  if (mode == 1) { known = second.y; x = value(second, spanB); }
  if (mode == 2) { known = min(known, second.y); x -= value(second, spanB); }
#endif
  if (known < 0.5) return vec3(greys.z);
#ifdef CATEGORIES
  float share[12] = float[](v0.x, v0.y, v0.z, v0.w, v1.x, v1.y, v1.z, v1.w, v2.x, v2.y, v2.z, v2.w);
  int best = 0;
  for (int i = 1; i < 12; i++) if (share[i] > share[best]) best = i;
  return best == 11 || x < threshold ? folds : palette[best];
#else
  if (abs(x) < threshold || (range.x >= 0.0 && x < threshold)) return folds;
  float along = clamp((x - range.x) / (range.y - range.x), 0.0, 1.0);
  return texelFetch(colours, ivec2(int(along * 255.0 + 0.5), int(row)), 0).rgb;
#endif
}
void main() { colour = vec4(shade() * min(0.58 + 0.44 * vertex.y, 1.0), 1.0); }`;

// A border piece as a strip some pixels wide, four vertices each: which corner one is, its number says.
const BORDER_VERTEX = `
in vec3 a0, b0, a1, b1;
uniform float blend;
uniform mat4 camera;
uniform vec2 pixel;        // size of a pixel in clip space
uniform float nearer;
void main() {
  vec4 a = camera * vec4(mix(a0, a1, blend), 1.0), b = camera * vec4(mix(b0, b1, blend), 1.0);
  vec2 along = normalize((b.xy - a.xy) / pixel + 1e-6);
  vec4 p = gl_VertexID % 4 < 2 ? a : b;
  p.xy += vec2(-along.y, along.x) * pixel * 0.75 * (gl_VertexID % 2 == 0 ? 1.0 : -1.0);
  gl_Position = vec4(p.xy, p.z - nearer, 1.0);
}`;
const BORDER_PIXEL = `
precision highp float;
out vec4 colour;
void main() { colour = vec4(vec3(40.0 / 255.0), 1.0); }`;

// The pinned vertex.
const PIN_VERTEX = `
uniform vec3 at;
uniform mat4 camera;
uniform float size, nearer;
void main() { gl_Position = camera * vec4(at, 1.0); gl_Position.z -= nearer; gl_PointSize = size; }`;
const PIN_PIXEL = `
precision highp float;
out vec4 colour;
void main() {
  float r = length(gl_PointCoord - 0.5) * 2.0;
  if (r > 1.0) discard;
  colour = vec4(r < 0.45 ? vec3(0.0) : r < 0.75 ? vec3(1.0) : vec3(0.0), 1.0);
}`;

function compile(gl, vertex, pixel, versions = []) {
  const program = gl.createProgram();
  for (const [type, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, pixel]]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, ["#version 300 es", ...versions.map((name) => `#define ${name}`), source].join("\n"));
    gl.compileShader(shader);
    gl.attachShader(program, shader);
    gl.deleteShader(shader); // goes with the program
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(`surface viewer: ${gl.getProgramInfoLog(program)}`);
  const uniforms = {}, attributes = {};
  for (let i = 0; i < gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS); i += 1) {
    const { name } = gl.getActiveUniform(program, i);
    uniforms[name.replace("[0]", "")] = gl.getUniformLocation(program, name);
  }
  for (let i = 0; i < gl.getProgramParameter(program, gl.ACTIVE_ATTRIBUTES); i += 1) {
    const { name } = gl.getActiveAttrib(program, i);
    attributes[name] = gl.getAttribLocation(program, name);
  }
  return { program, uniforms, attributes };
}
