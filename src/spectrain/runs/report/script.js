"use strict";
// Charts answer the pointer and the arrow keys with the values nearest to it, in the line above the drawing.
for (const figure of document.querySelectorAll("figure.chart")) {
  const data = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
  const plot = figure.querySelector(".plot");
  const area = figure.querySelector(".area");
  const cross = figure.querySelector(".cross");
  const readout = figure.querySelector(".readout");
  const atRest = [...readout.childNodes];
  const longest = data.lines.reduce((a, b) => (b.x.length > a.x.length ? b : a));
  let place = longest.x.length - 1;

  const nearest = (xs, x) => {
    let low = 0, high = xs.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (xs[middle] < x) low = middle; else high = middle;
    }
    return Math.abs(xs[low] - x) <= Math.abs(xs[high] - x) ? low : high;
  };
  const part = (label, text) => {
    const span = document.createElement("span");
    span.className = "value";
    if (label) span.append(label + " ");
    const value = document.createElement("b");
    value.textContent = text;
    span.append(value);
    return span;
  };
  const show = (x) => {
    place = nearest(longest.x, x);
    const here = longest.x[place];
    const where = here.toLocaleString("en", { maximumFractionDigits: data.x === "epoch" ? 2 : 0 });
    readout.replaceChildren(part(data.x, where), ...data.lines.map((line) => {
      return part(line.label, line.text[nearest(line.x, here)]);
    }));
    cross.style.left = 100 * (here - data.low) / (data.high - data.low) + "%";
    cross.hidden = false;
  };
  const rest = () => {
    readout.replaceChildren(...atRest);
    cross.hidden = true;
  };
  const point = (event) => {
    const box = area.getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    show(data.low + share * (data.high - data.low));
  };
  area.addEventListener("pointermove", point);
  area.addEventListener("pointerdown", point);
  area.addEventListener("pointerleave", rest);
  plot.addEventListener("blur", rest);
  plot.addEventListener("keydown", (event) => {
    const last = longest.x.length - 1;
    const step = Math.max(1, Math.round(last / 100));
    const to = { ArrowLeft: place - step, ArrowRight: place + step, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    show(longest.x[Math.min(Math.max(to, 0), last)]);
  });
}

// Pictures: one at a time, chosen by the slider, instead of the strip.
for (const figure of document.querySelectorAll("figure.pictures")) {
  const slider = figure.querySelector(".slider");
  if (!slider) continue;
  const input = slider.querySelector("input");
  const items = [...figure.querySelectorAll(".strip > li")];
  const choose = () => {
    items.forEach((item, at) => { item.hidden = at !== Number(input.value); });
    const epoch = items[Number(input.value)].dataset.epoch;
    slider.querySelector("output").textContent = epoch;
    input.setAttribute("aria-valuetext", "epoch " + epoch);
  };
  slider.hidden = false;
  figure.classList.add("one");
  input.addEventListener("input", choose);
  choose();
}
