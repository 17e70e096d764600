"use strict";
(() => {
  const level = document.getElementById("level");
  if (level) {
    const facts = JSON.parse(level.dataset.facts), said = document.getElementById("level-facts");
    const show = () => {
      for (const item of document.querySelectorAll("[data-level]")) item.hidden = item.dataset.level !== level.value;
      said.textContent = facts[level.value];
      level.setAttribute("aria-valuetext", facts[level.value]);
    };
    level.addEventListener("input", show);
    show();
    const blend = document.getElementById("blend");
    const mix = () => document.documentElement.style.setProperty("--blend", blend.value / 100);
    blend.addEventListener("input", mix);
    mix();
  }
  const find = document.getElementById("find"), tree = document.getElementById("tree");
  if (find && tree) {
    const items = [...tree.querySelectorAll("li")], count = document.getElementById("find-count");
    const own = new Map(items.map((item) => [item, item.querySelector(".text").textContent.toLowerCase()]));
    find.addEventListener("input", () => {
      const wanted = find.value.trim().toLowerCase();
      const shown = new Set();
      let hits = 0;
      for (const item of items) {
        if (!wanted || !own.get(item).includes(wanted)) continue;
        hits += 1;
        for (let place = item; place && place !== tree; place = place.parentElement) {
          if (place.tagName === "LI") shown.add(place);
          if (place.tagName === "DETAILS" && place.parentElement !== item) place.open = true;
        }
      }
      for (const item of items) item.hidden = Boolean(wanted) && !shown.has(item);
      count.textContent = wanted ? `${hits} found` : "";
    });
  }
})();
