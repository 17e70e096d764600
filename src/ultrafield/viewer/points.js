// Colours of many points reach the screen sooner. viser hands a message to WebGL two frames after it came, and all positions
// with it, which have not changed. Here colours are handed over when they come, and what a buffer holds already is not
// handed over again. Both save time and nothing else: whatever is not recognised goes viser's way.
(() => {
  const LARGE = 1 << 18; // bytes; with smaller arrays there is nothing to save
  const methods = WebGL2RenderingContext.prototype;
  const { bufferData, bufferSubData, deleteBuffer } = methods;
  const held = new WeakMap(); // the array that each buffer was filled with
  let colors = null; // where the colours of the points are

  // Arrays that came with a message are never written to: they begin after its head.
  function ofMessage(data) {
    return ArrayBuffer.isView(data) && data.byteLength >= LARGE && data.byteOffset > 0;
  }

  function note(context, target, data) {
    if (target !== context.ARRAY_BUFFER || !ofMessage(data)) return;
    const buffer = context.getParameter(context.ARRAY_BUFFER_BINDING);
    held.set(buffer, data);
    if (data instanceof Uint8Array) colors = { context, buffer, length: data.length };
  }

  methods.bufferData = function (target, data, ...rest) {
    bufferData.call(this, target, data, ...rest);
    note(this, target, data);
  };

  methods.bufferSubData = function (target, offset, data, ...rest) {
    if (target === this.ARRAY_BUFFER && offset === 0 && rest.length === 0 && ofMessage(data)) {
      if (held.get(this.getParameter(this.ARRAY_BUFFER_BINDING)) === data) return;
      bufferSubData.call(this, target, offset, data);
      note(this, target, data);
    } else bufferSubData.call(this, target, offset, data, ...rest);
  };

  methods.deleteBuffer = function (buffer) {
    if (colors !== null && colors.buffer === buffer) colors = null;
    deleteBuffer.call(this, buffer);
  };

  function hand(data) {
    const { context, buffer } = colors;
    const bound = context.getParameter(context.ARRAY_BUFFER_BINDING);
    context.bindBuffer(context.ARRAY_BUFFER, buffer);
    context.bufferSubData(context.ARRAY_BUFFER, 0, data);
    context.bindBuffer(context.ARRAY_BUFFER, bound);
  }

  function look(event) {
    const messages = event.data && event.data.type === "message_batch" ? event.data.messages : [];
    for (const message of messages) {
      if (message.type !== "SceneNodeUpdateMessage" || message.name !== "/points") continue;
      const data = message.updates && message.updates.colors;
      if (colors !== null && ofMessage(data) && data.length === colors.length) hand(data);
    }
  }

  const Usual = window.Worker;
  window.Worker = class extends Usual {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", look);
    }
  };
})();
