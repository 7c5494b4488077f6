"use strict";
// Without this script all is there but what answers. Charts say the values nearest to the pointer or the arrow keys.
const make = (tag, attributes, ...children) => {
  const element = Object.assign(document.createElement(tag), attributes);
  element.append(...children);
  return element;
};
const digits = (x, unit) => x.toLocaleString("en", { maximumFractionDigits: unit === "epoch" ? 2 : 0 });
const hiddenRuns = new Set();

for (const figure of document.querySelectorAll("figure.chart")) {
  const data = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
  const plot = figure.querySelector(".plot"), area = figure.querySelector(".area");
  const cross = figure.querySelector(".cross"), readout = figure.querySelector(".readout");
  const values = figure.querySelector(".values-of"), title = figure.querySelector("figcaption > :first-child");
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
  const part = (label, text) => make("span", { className: "value" }, label ? label + " " : "", make("b", {}, text));
  const show = (x) => {
    place = nearest(longest.x, x);
    const here = longest.x[place];
    const lines = data.lines.filter((line) => !hiddenRuns.has(line.run));
    readout.replaceChildren(part(data.x, digits(here, data.x)), ...lines.map((line) => {
      return part(line.label, line.text[nearest(line.x, here)]);
    }));
    plot.setAttribute("aria-valuenow", here);
    plot.setAttribute("aria-valuetext", [...readout.children].map((one) => one.textContent).join(", "));
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
  // a slider is what screen readers pass arrow keys to
  for (const [name, value] of [["role", "slider"], ["aria-valuemin", longest.x[0]], ["aria-valuemax", longest.x.at(-1)],
    ["aria-valuenow", longest.x.at(-1)], ["aria-valuetext", readout.textContent || "the newest values"]]) plot.setAttribute(name, value);
  area.addEventListener("pointermove", point);
  area.addEventListener("pointerdown", point);
  area.addEventListener("pointerleave", rest);
  plot.addEventListener("blur", rest);
  plot.addEventListener("keydown", (event) => {
    if (event.key === "Enter") return large(figure);
    const last = longest.x.length - 1;
    const step = Math.max(1, Math.round(last / 100));
    const to = { ArrowLeft: place - step, ArrowRight: place + step, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    show(longest.x[Math.min(Math.max(to, 0), last)]);
  });

  // The values as a table are made when they are asked for: of many steps they are many.
  values.addEventListener("toggle", () => {
    if (!values.open || values.querySelector("table")) return;
    const at = [...new Set(data.lines.flatMap((line) => line.x))].sort((a, b) => a - b);
    const texts = data.lines.map((line) => new Map(line.x.map((x, i) => [x, line.text[i]])));
    const head = make("tr", {}, ...[data.x, ...data.lines.map((line) => line.label || title.textContent)].map((text) => {
      return make("th", { scope: "col" }, text);
    }));
    const rows = at.map((x) => make("tr", {}, make("th", { scope: "row" }, digits(x, data.x)),
      ...texts.map((found) => make("td", {}, found.get(x) ?? ""))));
    const table = make("table", {}, make("caption", { className: "unseen" }, "Values of " + title.textContent),
      make("thead", {}, head), make("tbody", {}, ...rows));
    const scroll = make("div", { className: "scroll tall", tabIndex: 0 }, table);
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", "Values of " + title.textContent);
    values.append(scroll);
  });
  if (figure.classList.contains("small")) {
    const button = make("button", { type: "button", className: "enlarge", onclick: () => large(figure) }, "Large");
    button.setAttribute("aria-label", "Show large: " + title.textContent);
    plot.after(button);
    area.addEventListener("click", (event) => { if (event.pointerType === "mouse") large(figure); });
  }
}

// One chart at a time opens large, and goes back to its place.
const dialog = make("dialog", {}, make("button", { type: "button", onclick: () => dialog.close() }, "Close"));
const held = make("div", {});
document.body.append(dialog);
function large(figure) {
  if (dialog.open || !figure.classList.contains("small")) return;
  held.style.height = figure.offsetHeight + "px"; // so that the page behind does not move
  figure.replaceWith(held);
  dialog.append(figure);
  dialog.setAttribute("aria-label", figure.querySelector("figcaption > :first-child").textContent);
  dialog.showModal();
  figure.querySelector(".plot").focus();
}
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => {
  const figure = dialog.querySelector("figure");
  held.replaceWith(figure);
  (figure.querySelector(".enlarge") ?? figure.querySelector(".plot")).focus();
});

// Lines of a run are shown or not, in all charts.
for (const legend of document.querySelectorAll(".legend")) {
  legend.hidden = false;
  legend.addEventListener("change", (event) => {
    const run = Number(event.target.dataset.run);
    if (event.target.checked) hiddenRuns.delete(run); else hiddenRuns.add(run);
    for (const one of document.querySelectorAll(`.plot [data-run="${run}"]`)) one.toggleAttribute("hidden", !event.target.checked);
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

// What is folded is printed too.
addEventListener("beforeprint", () => { for (const one of document.querySelectorAll("main details")) one.open = true; });
