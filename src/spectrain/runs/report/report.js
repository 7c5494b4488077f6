"use strict";
// Values under the pointer or, with the arrow keys, under the cursor of a chart. Without this script the page loses nothing else.
for (const figure of document.querySelectorAll("figure.chart")) {
  const data = JSON.parse(figure.querySelector("script").textContent);
  const svg = figure.querySelector("svg"), cursor = figure.querySelector(".cursor"), readout = figure.querySelector("output");
  const [title, low, high] = data.x, [left, right] = data.plot, width = svg.viewBox.baseVal.width;
  const xs = [...new Set(data.lines.flatMap((line) => line[1]))].filter((x) => x !== null).sort((a, b) => a - b);
  let at = xs.length - 1;
  const show = (x) => {
    const share = left + (high > low ? (x - low) / (high - low) : 0) * (right - left);
    cursor.setAttribute("x1", share * width);
    cursor.setAttribute("x2", share * width);
    const said = [`${title} ${+x.toPrecision(6)}`];
    for (const [label, lx, ly] of data.lines) {
      let best = -1;
      lx.forEach((value, i) => { if (ly[i] !== null && (best < 0 || Math.abs(value - x) < Math.abs(lx[best] - x))) best = i; });
      if (best >= 0) said.push(`${label} ${+ly[best].toPrecision(5)}`.trim());
    }
    readout.textContent = said.join("   ");
  };
  const nearest = (x) => xs.reduce((best, value, i) => (Math.abs(value - x) < Math.abs(xs[best] - x) ? i : best), 0);
  svg.addEventListener("pointermove", (event) => {
    if (!xs.length) return;
    const box = svg.getBoundingClientRect(), share = (event.clientX - box.left) / box.width;
    at = nearest(low + ((share - left) / (right - left)) * (high - low));
    show(xs[at]);
  });
  figure.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !xs.length) return;
    event.preventDefault();
    at = Math.min(xs.length - 1, Math.max(0, at + step));
    show(xs[at]);
  });
}
for (const figure of document.querySelectorAll("figure.pictures")) {
  const slider = figure.querySelector("input"), images = figure.querySelectorAll("img");
  slider?.addEventListener("input", () => {
    images.forEach((image, i) => { image.hidden = i !== +slider.value; });
    figure.querySelector("output").textContent = images[+slider.value].dataset.epoch;
  });
}
