// What screen readers need and viser leaves out: names of its sliders, fields and buttons, and what the parts of the page are.
(() => {
  const CONTROLS = "input, textarea, [role=slider], [role=combobox]";

  function name(element, text) {
    if (text && element.getAttribute("aria-label") !== text) element.setAttribute("aria-label", text);
  }

  function region(element, role, text) {
    if (element === null || element.getAttribute("role") === role) return;
    element.setAttribute("role", role);
    if (text) element.setAttribute("aria-label", text);
  }

  function look() {
    region(document.getElementById("root"), "main");
    for (const portal of document.querySelectorAll("[data-portal=true]")) region(portal, "region", "Messages");
    for (const label of document.querySelectorAll("#root label[for]")) {
      if (label.control !== null) continue;
      let row = label; // the label's row: the smallest element around it that has a control
      while (row !== null && row.querySelector(CONTROLS) === null) row = row.parentElement;
      if (row !== null) for (const control of row.querySelectorAll(CONTROLS)) name(control, label.textContent);
    }
    for (const button of document.querySelectorAll("button:not([aria-label])"))
      if (button.textContent.trim() === "") name(button, button.className.includes("close") ? "Close" : "Settings");
  }

  let waiting = false; // the page changes in bursts
  new MutationObserver(() => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => { waiting = false; look(); }, 200);
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
