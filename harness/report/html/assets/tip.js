"use strict";
// What is read off a chart: beside the pointer, and spoken.
const Tip = (() => {
  const tip = document.querySelector("#tip");
  const show = (text, x, y) => {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(6, Math.min(x + 14, innerWidth - box.width - 6))}px`;
    tip.style.top = `${Math.max(6, y + box.height + 24 > innerHeight ? y - box.height - 12 : y + 16)}px`;
  };
  return {
    show,
    hide: () => {
      tip.hidden = true;
    },
  };
})();
