// Sends what is clicked and typed in our part of the panel to the program; pages of other sites cannot, see guard.py.
(() => {
  let socket = null;
  const waiting = [];
  let paints = false; // whether this page can paint points by itself, see points.js

  function connect() {
    const scheme = location.protocol === "https:" ? "wss://" : "ws://";
    socket = new WebSocket(scheme + location.host + "/events");
    socket.onopen = () => { if (paints) send({ act: "paints" }); while (waiting.length) socket.send(waiting.shift()); };
    socket.onclose = () => setTimeout(connect, 1000);
  }

  function send(message) {
    const text = JSON.stringify(message);
    if (socket !== null && socket.readyState === WebSocket.OPEN) socket.send(text);
    else if (waiting.length < 20) waiting.push(text);
  }

  window.addEventListener("uf-paints", () => {
    paints = true;
    if (socket !== null && socket.readyState === WebSocket.OPEN) send({ act: "paints" });
  });

  function messageOf(element, event) {
    const message = { act: element.dataset.act };
    if ("node" in element.dataset) message.node = Number(element.dataset.node);
    if (message.act === "pixel") {
      const box = element.getBoundingClientRect();
      message.x = (event.clientX - box.left) / box.width;
      message.y = (event.clientY - box.top) / box.height;
    }
    if (event.shiftKey) message.add = true;
    return message;
  }

  document.addEventListener("click", (event) => {
    const element = event.target.closest && event.target.closest("[data-act]");
    if (element && element.dataset.act !== "rename" && !element.disabled) send(messageOf(element, event));
  });

  document.addEventListener("change", (event) => {
    if (event.target.dataset && event.target.dataset.act === "rename")
      send({ act: "rename", text: event.target.value });
  });

  const keys = {
    u: "climb", PageUp: "climb", j: "descend", PageDown: "descend", h: "hide", i: "isolate", o: "open", l: "close",
    m: "merge", x: "split", b: "best", v: "all", c: "colors", Escape: "deselect", z: "undo", y: "redo",
  };

  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if (target.closest && target.closest("input, textarea, select, [contenteditable=true]")) {
      if (event.key === "Enter" && target.dataset && target.dataset.act === "rename") target.blur();
      return;
    }
    if (target.matches && target.matches(".uf-row") && moved(target, event.key)) {
      event.preventDefault();
      return;
    }
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key === "n" && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const field = document.getElementById("uf-name");
      if (field !== null) { field.focus(); field.select(); event.preventDefault(); }
      return;
    }
    const act = keys[key];
    if (act === undefined || event.altKey || event.repeat && act !== "climb" && act !== "descend") return;
    if ((event.ctrlKey || event.metaKey) && act !== "undo" && act !== "redo") return;
    send({ act: act === "undo" && event.shiftKey ? "redo" : act });
    event.preventDefault();
  });

  // In the tree: arrows walk, open and close; Enter selects. Returns whether the key means something there.
  let walking = null; // the node whose row has the focus, and must have it again in the next list

  function moved(row, key) {
    const sign = row.querySelector("[data-act=toggle]");
    const opened = sign !== null && sign.textContent === "▾";
    if (key === "ArrowDown" && row.nextElementSibling) row.nextElementSibling.focus();
    else if (key === "ArrowUp" && row.previousElementSibling) row.previousElementSibling.focus();
    else if (key === "Enter" || key === " ") row.click();
    else if (sign !== null && key === (opened ? "ArrowLeft" : "ArrowRight")) sign.click();
    else return key.startsWith("Arrow");
    return true;
  }

  document.addEventListener("focusin", (event) => {
    const row = event.target.matches && event.target.matches(".uf-row") ? event.target : null;
    walking = row === null ? null : row.dataset.node;
  });

  // Lists are written anew when they change; where they were scrolled to stays, and so does the rest of the panel.
  const scrolled = {};
  document.addEventListener("scroll", (event) => {
    if (event.target.id && event.target.id.startsWith("uf-")) scrolled[event.target.id] = event.target.scrollTop;
  }, true);

  function show(row, list) {
    const own = row.getBoundingClientRect(), box = list.getBoundingClientRect();
    const bottom = Math.max(Math.min(box.bottom, innerHeight), box.top + own.height); // the window may end before the list
    if (own.top < box.top) list.scrollTop -= box.top - own.top;
    else if (own.bottom > bottom) list.scrollTop += own.bottom - bottom;
  }

  let current = null;
  new MutationObserver(() => {
    const list = document.getElementById("uf-tree");
    if (list === null || list.dataset.seen) return;
    list.dataset.seen = "yes";
    list.scrollTop = scrolled["uf-tree"] || 0;
    const row = list.querySelector(".uf-current");
    const node = row === null ? null : row.dataset.node;
    if (node !== null && node !== current) show(row, list);
    current = node;
    const walked = walking === null ? null : list.querySelector(`.uf-row[data-node="${walking}"]`);
    if (walked !== null) walked.focus({ preventScroll: true });
  }).observe(document.documentElement, { childList: true, subtree: true });

  connect();
})();
