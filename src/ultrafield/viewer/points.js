// Colours of many points reach the screen sooner. viser hands a message to WebGL two frames after it came, and all positions
// with it, which have not changed. Here colours are handed over when they come, and what a buffer holds already is not
// handed over again. Besides, the program may send runs of points in place of colours (`Painter`): they are painted here.
// Whatever is not recognised goes viser's way; the program is told once it is, and sends no runs before.
(() => {
  const LARGE = 1 << 18; // bytes; with smaller arrays there is nothing to save
  const methods = WebGL2RenderingContext.prototype;
  const { bufferData, bufferSubData, deleteBuffer } = methods;
  const held = new WeakMap(); // the array that each buffer was filled with; for `given`, what was painted of it
  let place = null; // where the colours of the points are
  let given = null; // the colours that came last
  let runs = new Float32Array([0, 0, 1]); // see `Painter.runs`
  let light = new Float32Array([1, 0, 0]); // see `Painter.light`
  let shown = null; // the colours painted
  let spare = null; // an array to paint in, and what was painted there
  let painted = { given: null, runs: null, light: null };
  let late = true; // whether other points are on their way to WebGL: colours wait for them

  // Arrays that came with a message are never written to: they begin after its head.
  function ofMessage(data) {
    return ArrayBuffer.isView(data) && data.byteOffset > 0 && (data === given || data.byteLength >= LARGE);
  }

  function note(context, target, data) {
    if (target !== context.ARRAY_BUFFER || !ofMessage(data)) return;
    const buffer = context.getParameter(context.ARRAY_BUFFER_BINDING);
    held.set(buffer, data);
    if (data !== given) return;
    if (place === null) window.dispatchEvent(new Event("uf-paints"));
    place = { context, buffer, length: data.length };
    late = false;
  }

  methods.bufferData = function (target, data, ...rest) {
    const known = target === this.ARRAY_BUFFER && data !== null && data === given;
    bufferData.call(this, target, known ? shown : data, ...rest);
    note(this, target, data);
  };

  methods.bufferSubData = function (target, offset, data, ...rest) {
    if (target === this.ARRAY_BUFFER && offset === 0 && rest.length === 0 && ofMessage(data)) {
      if (held.get(this.getParameter(this.ARRAY_BUFFER_BINDING)) === data) return;
      bufferSubData.call(this, target, offset, data === given ? shown : data);
      note(this, target, data);
      return;
    }
    bufferSubData.call(this, target, offset, data, ...rest);
    if (target === this.ARRAY_BUFFER) held.delete(this.getParameter(this.ARRAY_BUFFER_BINDING));
  };

  methods.deleteBuffer = function (buffer) {
    if (place !== null && place.buffer === buffer) place = null;
    deleteBuffer.call(this, buffer);
  };

  // Fills points from one to another; many by doubling what is filled.
  function fill(begin, end, red, green, blue) {
    const from = 3 * begin, to = 3 * end, few = Math.min(to, from + 96);
    for (let at = from; at < few; at += 3) { spare[at] = red; spare[at + 1] = green; spare[at + 2] = blue; }
    for (let size = 96; from + size < to; size *= 2) spare.copyWithin(from + size, from, Math.min(from + size, to - size));
  }

  // Paints points from one to another, which are all bright or all dimmed: `keep` of their colour, and `rest`.
  function paintAlike(begin, end, keep, rest) {
    const count = runs.length / 3;
    let low = 0, high = count; // the last run that begins at or before them
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (runs[3 * middle] <= begin) low = middle; else high = middle;
    }
    for (let run = low; run < count && runs[3 * run] < end; run++) {
      const from = Math.max(begin, runs[3 * run]), to = run + 1 < count ? Math.min(end, runs[3 * run + 3]) : end;
      const color = runs[3 * run + 1], red = color & 255, green = (color >> 8) & 255, blue = color >> 16;
      if (runs[3 * run + 2] === 0)
        fill(from, to, keep * red + rest[0], keep * green + rest[1], keep * blue + rest[2]);
      else if (keep === 1) spare.set(given.subarray(3 * from, 3 * to), 3 * from);
      else
        for (let at = 3 * from; at < 3 * to; at += 3)
          for (let part = 0; part < 3; part++) spare[at + part] = keep * given[at + part] + rest[part];
    }
  }

  // Paints points from one to another: bright where `light` says so, dimmed elsewhere.
  function paintRange(begin, end) {
    if (light[2] === 0) return paintAlike(begin, end, 1, [0, 0, 0]);
    const keep = light[0], rest = [light[1] & 255, (light[1] >> 8) & 255, light[1] >> 16].map((part) => (1 - keep) * part);
    let place = begin;
    for (let row = 3; row < light.length && place < end; row += 3) {
      const from = Math.max(place, light[row]), to = Math.min(end, light[row + 1]);
      if (from >= to) continue;
      if (place < from) paintAlike(place, from, keep, rest);
      paintAlike(from, to, 1, [0, 0, 0]);
      place = to;
    }
    if (place < end) paintAlike(place, end, keep, rest);
  }

  // Paints what is not painted already; returns where the points begin and end that changed.
  function paint() {
    const count = given.length / 3;
    if (runs.length === 3 && runs[2] === 1 && light[2] === 0) { shown = given; return [0, count]; }
    const known = shown === spare && painted.given === given && painted.runs === runs && painted.light[2] && light[2];
    if (spare === null || spare.length !== given.length) spare = new Uint8Array(given.length);
    shown = spare;
    let first = count, last = 0;
    if (!known) { paintRange(0, count); [first, last] = [0, count]; }
    else for (const spans of [painted.light, light]) // only what is or was bright is not as before
      for (let row = 3; row < spans.length; row += 3) {
        const begin = Math.min(count, spans[row]), end = Math.min(count, spans[row + 1]);
        paintRange(begin, end);
        [first, last] = [Math.min(first, begin), Math.max(last, end)];
      }
    painted = { given, runs, light };
    return [first, last];
  }

  function hand(first, last) {
    const { context, buffer } = place;
    const bound = context.getParameter(context.ARRAY_BUFFER_BINDING);
    context.bindBuffer(context.ARRAY_BUFFER, buffer);
    if (held.get(buffer) !== given) [first, last] = [0, shown.length / 3]; // else it has all but what was painted now
    if (first < last) bufferSubData.call(context, context.ARRAY_BUFFER, 3 * first, shown.subarray(3 * first, 3 * last));
    context.bindBuffer(context.ARRAY_BUFFER, bound);
    held.set(buffer, given);
  }

  // The new value that a message has for a property of one of the clouds; undefined if it has none.
  function told(message, cloud, property) {
    if (message.name !== cloud) return undefined;
    if (message.type === "PointCloudMessage") return message.props[property];
    return message.type === "SceneNodeUpdateMessage" && message.updates ? message.updates[property] : undefined;
  }

  function look(event) {
    const messages = event.data && event.data.type === "message_batch" ? event.data.messages : [];
    let changed = false;
    for (const message of messages) {
      const colors = told(message, "/points", "colors");
      const painting = told(message, "/runs", "points"), lighting = told(message, "/light", "points");
      if (colors !== undefined) given = colors;
      if (painting !== undefined) runs = painting;
      if (lighting !== undefined) light = lighting;
      if (colors !== undefined && message.type === "PointCloudMessage") late = true;
      changed = changed || [colors, painting, lighting].some((value) => value !== undefined);
    }
    if (!changed || given === null) return;
    const changes = paint();
    if (!late && place !== null && place.length === given.length) hand(...changes);
  }

  const Usual = window.Worker;
  window.Worker = class extends Usual {
    constructor(...options) {
      super(...options);
      this.addEventListener("message", look);
    }
  };
})();
