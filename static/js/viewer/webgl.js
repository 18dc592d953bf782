// Draws a film with WebGL 2: its values are a texture of integers, a window is a look-up table of
// grey levels. Only the pixels of the stage are computed, however large the film is.

const VERTICES = `#version 300 es
void main() {
  gl_Position = vec4(gl_VertexID == 1 ? 3 : -1, gl_VertexID == 2 ? 3 : -1, 0, 1);
}`;

const FRAGMENTS = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;
uniform usampler2D film;
uniform sampler2D tone;
uniform vec2 size;     // of the film, in its own pixels
uniform vec4 turn;     // from pixels of the screen to those of the film
uniform vec2 shift;
uniform vec4 lens;     // x, y, radius, magnification; in pixels of the screen
uniform ivec2 planes;  // outside and inside the lens
uniform float height;  // of the screen
out vec4 colour;

float valueAt(vec2 place, int plane) {
  ivec2 last = textureSize(film, plane) - 1;
  vec2 at = place / size * vec2(last + 1) - 0.5;
  vec2 share = fract(at);
  ivec2 first = clamp(ivec2(floor(at)), ivec2(0), last);
  ivec2 next = clamp(ivec2(floor(at)) + 1, ivec2(0), last);
  float upper = mix(float(texelFetch(film, first, plane).r),
                    float(texelFetch(film, ivec2(next.x, first.y), plane).r), share.x);
  float lower = mix(float(texelFetch(film, ivec2(first.x, next.y), plane).r),
                    float(texelFetch(film, next, plane).r), share.x);
  return mix(upper, lower, share.y);
}

void main() {
  vec2 at = vec2(gl_FragCoord.x, height - gl_FragCoord.y);
  int plane = planes.x;
  float from = distance(at, lens.xy);
  if (from < lens.z) {
    if (from > lens.z - 2.0) {
      colour = vec4(0.45, 0.83, 0.89, 1);
      return;
    }
    at = lens.xy + (at - lens.xy) / lens.w;
    plane = planes.y;
  }
  vec2 place = vec2(dot(turn.xz, at), dot(turn.yw, at)) + shift;
  if (any(lessThan(place, vec2(0))) || any(greaterThanEqual(place, size))) {
    colour = vec4(0);
    return;
  }
  int value = int(valueAt(place, plane) + 0.5);
  colour = vec4(vec3(texelFetch(tone, ivec2(value & 255, value >> 8), 0).r), 1);
}`;

const ROW = 256; // grey levels in a row of their texture

function compiled(gl, kind, text) {
  const shader = gl.createShader(kind);
  gl.shaderSource(shader, text);
  gl.compileShader(shader);
  return shader;
}

function linked(gl) {
  const program = gl.createProgram();
  gl.attachShader(program, compiled(gl, gl.VERTEX_SHADER, VERTICES));
  gl.attachShader(program, compiled(gl, gl.FRAGMENT_SHADER, FRAGMENTS));
  gl.linkProgram(program);
  return gl.getProgramParameter(program, gl.LINK_STATUS) ? program : null;
}

function newTexture(gl, unit) {
  const texture = gl.createTexture();
  gl.activeTexture(gl.TEXTURE0 + unit);
  gl.bindTexture(gl.TEXTURE_2D, texture);
  for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) {
    gl.texParameteri(
      gl.TEXTURE_2D,
      filter,
      filter === gl.TEXTURE_MIN_FILTER && unit === 0 ? gl.NEAREST_MIPMAP_NEAREST : gl.NEAREST,
    );
  }
  return texture;
}

// Drivers that emulate a graphics card; the processor alone is several times faster (decision 0051).
const EMULATED = /swiftshader|llvmpipe|softpipe|software|basic render/i;
let isEmulated = null; // found out once

function hasCard() {
  if (isEmulated === null) {
    const gl = document.createElement("canvas").getContext("webgl2");
    const names = gl?.getExtension("WEBGL_debug_renderer_info");
    const driver = gl ? gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER) : "";
    isEmulated = !gl || EMULATED.test(driver);
    gl?.getExtension("WEBGL_lose_context")?.loseContext();
  }
  return !isEmulated;
}

export class WebGlRenderer {
  // Returns null where there is no WebGL 2; for tests, `always` takes an emulated one as well.
  static on(canvas, { always = false } = {}) {
    if (!always && !hasCard()) return null;
    const gl = canvas.getContext("webgl2", { antialias: false, depth: false });
    const program = gl && linked(gl);
    return program ? new WebGlRenderer(gl, program) : null;
  }

  constructor(gl, program) {
    this.gl = gl;
    this.textures = [];
    gl.useProgram(program);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    this.place = (name) => gl.getUniformLocation(program, name);
    gl.uniform1i(this.place("tone"), 1);
  }

  get isLost() {
    return this.gl.isContextLost();
  }

  takes(source) {
    return Math.max(source.width, source.height) <= this.gl.getParameter(this.gl.MAX_TEXTURE_SIZE);
  }

  load(source) {
    const { gl } = this;
    for (const texture of this.textures) gl.deleteTexture(texture);
    this.textures = [newTexture(gl, 0)];
    const isWide = source.planes[0].values instanceof Uint16Array;
    const [stored, type] = isWide ? [gl.R16UI, gl.UNSIGNED_SHORT] : [gl.R8UI, gl.UNSIGNED_BYTE];
    gl.texStorage2D(gl.TEXTURE_2D, source.planes.length, stored, source.width, source.height);
    for (const [level, plane] of source.planes.entries()) {
      const { width, height, values } = plane;
      const area = [0, 0, width, height];
      gl.texSubImage2D(gl.TEXTURE_2D, level, ...area, gl.RED_INTEGER, type, values);
    }
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAX_LEVEL, source.planes.length - 1);
    this.textures.push(newTexture(gl, 1));
    this.rows = Math.ceil(source.levels / ROW);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.R8, ROW, this.rows);
    this.levels = new Uint8Array(ROW * this.rows);
  }

  setTone(levels) {
    const { gl } = this;
    this.levels.set(levels);
    const area = [0, 0, ROW, this.rows];
    gl.texSubImage2D(gl.TEXTURE_2D, 0, ...area, gl.RED, gl.UNSIGNED_BYTE, this.levels);
  }

  // Draws a frame of `frames.js`.
  draw({ canvas, film, turn, shift, lens, planes }) {
    const { gl, place } = this;
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.uniform2f(place("size"), film.width, film.height);
    gl.uniform4f(place("turn"), ...turn);
    gl.uniform2f(place("shift"), ...shift);
    gl.uniform4f(place("lens"), ...lens);
    gl.uniform2i(place("planes"), ...planes);
    gl.uniform1f(place("height"), canvas.height);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }
}
