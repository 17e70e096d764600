// Colours of many points reach the screen sooner. viser hands a message to WebGL two frames after it came, and all positions
// with it, which have not changed. Here colours are handed over when they come, and what a buffer holds already is not
// handed over again. Besides, the program may send runs of points in place of colours (`Painter.runs`): they are painted here.
// Whatever is not recognised goes viser's way; the program is told once it is, and sends no runs before.
(() => {
  const LARGE = 1 << 18; // bytes; with smaller arrays there is nothing to save
  const methods = WebGL2RenderingContext.prototype;
  const { bufferData, bufferSubData, deleteBuffer } = methods;
  const held = new WeakMap(); // the array that each buffer was filled with; for `given`, what was painted of it
  let place = null; // where the colours of the points are
  let given = null; // the colours that came last
  let runs = null; // rows of begin, colour, share of the colours given
  let shown = null; // the colours painted
  let spare = null; // an array to paint in, and what was painted there
  let painted = { given: null, runs: null };
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
  function fill(begin, end, color) {
    const from = 3 * begin, to = 3 * end, red = color & 255, green = (color >> 8) & 255, blue = color >> 16;
    const few = Math.min(to, from + 96);
    for (let at = from; at < few; at += 3) { spare[at] = red; spare[at + 1] = green; spare[at + 2] = blue; }
    for (let size = 96; from + size < to; size *= 2) spare.copyWithin(from + size, from, Math.min(from + size, to - size));
  }

  function mix(begin, end, color, share) {
    const parts = [color & 255, (color >> 8) & 255, color >> 16].map((part) => (1 - share) * part);
    for (let at = 3 * begin; at < 3 * end; at += 3)
      for (let part = 0; part < 3; part++) spare[at + part] = share * given[at + part] + parts[part];
  }

  // Paints what is not painted already; returns where the points begin and end that changed.
  function paint() {
    const count = given.length / 3;
    if (runs === null || (runs.length === 3 && runs[2] === 1)) { shown = given; return [0, count]; }
    const known = shown === spare && spare !== null && painted.given === given ? painted.runs : null;
    if (spare === null || spare.length !== given.length) spare = new Uint8Array(given.length);
    let first = count, last = 0, old = 0;
    for (let row = 0; row < runs.length; row += 3) {
      const begin = runs[row], end = Math.min(count, row + 3 < runs.length ? runs[row + 3] : count);
      const color = runs[row + 1], share = runs[row + 2];
      if (known !== null) {
        while (old + 3 < known.length && known[old + 3] <= begin) old += 3;
        const until = old + 3 < known.length ? known[old + 3] : count;
        if (known[old + 1] === color && known[old + 2] === share && end <= until) continue;
      }
      if (begin >= end) continue;
      if (share === 0) fill(begin, end, color);
      else if (share === 1) spare.set(given.subarray(3 * begin, 3 * end), 3 * begin);
      else mix(begin, end, color, share);
      first = Math.min(first, begin);
      last = end;
    }
    shown = spare;
    painted = { given, runs };
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
      const colors = told(message, "/points", "colors"), painting = told(message, "/runs", "points");
      if (colors !== undefined) given = colors;
      if (painting !== undefined) runs = painting;
      if (colors !== undefined && message.type === "PointCloudMessage") late = true;
      changed = changed || colors !== undefined || painting !== undefined;
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
