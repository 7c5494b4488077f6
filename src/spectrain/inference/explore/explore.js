"use strict";
const data = JSON.parse(document.querySelector("script[type='application/json']").textContent);
const get = (id) => document.getElementById(id);
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
const near = new Int32Array(bytes(data.near)), cosines = new Float32Array(bytes(data.cosines));
const maps = data.maps.map((map) => {
  const at = new Float32Array(bytes(map.at)), reach = [1e-3, 1e-3];
  at.forEach((value, i) => { if (Math.abs(value) > reach[i % 2]) reach[i % 2] = Math.abs(value); });
  return { name: map.name, at, reach };
});
const columns = data.columns;
const ident = columns.find((column) => column.name === "patch_id");
const nameOf = (i) => (ident && ident.values[i] !== null ? valueText(ident, i) : `image ${i}`);
const [tileWidth, tileHeight] = data.tile;
const all = Array.from({ length: data.count }, (_, i) => i);

const state = { map: maps[0], colour: null, shown: new Array(data.count).fill(true), hover: -1, selected: -1, scale: 1, x: 0, y: 0 };

// images

const sheets = data.sheets.map((source) => {
  const image = new Image();
  image.onload = () => redrawImages();
  image.src = source;
  return image;
});
function drawImage(canvas, i) {
  canvas.width = tileWidth;
  canvas.height = tileHeight;
  canvas.dataset.index = i;
  const each = data.across * data.across, sheet = sheets[Math.floor(i / each)], place = i % each;
  if (!sheet.complete) return;
  const x = (place % data.across) * tileWidth, y = Math.floor(place / data.across) * tileHeight;
  canvas.getContext("2d").drawImage(sheet, x, y, tileWidth, tileHeight, 0, 0, tileWidth, tileHeight);
}
function redrawImages() {
  for (const canvas of document.querySelectorAll("canvas[data-index]")) drawImage(canvas, Number(canvas.dataset.index));
}

// values

const number = (value) => (Math.abs(value) >= 1e6 || (value !== 0 && Math.abs(value) < 1e-3) ? value.toExponential(2) : String(Number(value.toPrecision(5))));
function valueText(column, i) {
  const value = column.values[i];
  if (column.kind === "class") return value < 0 ? "–" : column.classes[value];
  if (value === null) return "–";
  return column.kind === "number" ? number(value) : value;
}
function numbersOf(column) {
  return column.values.filter((value) => value !== null).sort((a, b) => a - b);
}
const varies = (column) => (column.kind === "class" ? column.classes.length > 1 : column.kind === "number" && new Set(numbersOf(column)).size > 1);

// colours

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
function classColour(place) {
  return place < 8 ? css(`--run${place}`) : `hsl(${(place * 137.5) % 360} 45% 52%)`;
}
let colours = [];
function paint() {
  const column = state.colour, missing = css("--soft");
  const legend = get("legend");
  legend.replaceChildren();
  if (!column) {
    colours = all.map(() => css("--accent"));
  } else if (column.kind === "class") {
    const table = column.classes.map((_, place) => classColour(place));
    colours = column.values.map((place) => (place < 0 ? missing : table[place]));
    const swatches = make("div", { className: "swatches" });
    column.classes.forEach((text, place) => {
      const dot = make("i");
      dot.style.background = table[place];
      swatches.append(make("span", {}, dot, text));
    });
    legend.append(swatches);
  } else {
    const sorted = numbersOf(column), at = (share) => sorted[Math.round(share * (sorted.length - 1))];
    let low = at(0.02), high = at(0.98);
    if (low === high) [low, high] = [sorted[0], sorted[sorted.length - 1]];
    const last = data.scale.length - 1;
    colours = column.values.map((value) =>
      value === null ? missing : data.scale[Math.round(Math.min(1, Math.max(0, (value - low) / (high - low || 1))) * last)]);
    const ramp = make("div", { className: "ramp" });
    ramp.style.background = `linear-gradient(to right, ${data.scale.filter((_, i) => i % 7 === 0).join(",")})`;
    const ends = make("div", { className: "ends" }, make("span", {}, `${sorted[0] < low ? "≤ " : ""}${number(low)}`), make("span", {}, `${sorted[sorted.length - 1] > high ? "≥ " : ""}${number(high)}`));
    legend.append(ramp, ends);
  }
  redraw();
}
function make(tag, attributes = {}, ...children) {
  const element = Object.assign(document.createElement(tag), attributes);
  element.append(...children);
  return element;
}

// the map

const canvas = get("map"), context = canvas.getContext("2d");
let width = 0, height = 0, waiting = false;
const onMap = (i) => !Number.isNaN(state.map.at[2 * i]);
const half = () => Math.min(width / state.map.reach[0], height / state.map.reach[1]) * 0.46;
function screen(i) {
  const unit = half() * state.scale;
  return [width / 2 + (state.map.at[2 * i] - state.x) * unit, height / 2 - (state.map.at[2 * i + 1] - state.y) * unit];
}
function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
}
function draw() {
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const radius = Math.max(2, Math.min(5.5, 90 / Math.sqrt(data.count + 40))) * Math.min(2, Math.sqrt(state.scale));
  const groups = new Map();
  for (const i of all) {
    if (!onMap(i)) continue;
    const colour = state.shown[i] ? colours[i] : "";
    if (!groups.has(colour)) groups.set(colour, []);
    groups.get(colour).push(i);
  }
  const order = [...groups.keys()].sort((a, b) => (a === "" ? -1 : 0) - (b === "" ? -1 : 0));
  for (const colour of order) {
    context.fillStyle = colour || css("--faded");
    context.globalAlpha = colour ? 0.82 : 0.55;
    context.beginPath();
    for (const i of groups.get(colour)) {
      const [x, y] = screen(i);
      if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
      const r = colour ? radius : radius * 0.7;
      context.moveTo(x + r, y);
      context.arc(x, y, r, 0, 7);
    }
    context.fill();
  }
  context.globalAlpha = 1;
  if (state.selected >= 0 && onMap(state.selected)) {
    const [x, y] = screen(state.selected);
    context.strokeStyle = css("--ink");
    context.lineWidth = 0.75;
    context.beginPath();
    for (const j of neighboursOf(state.selected)) {
      if (!onMap(j)) continue;
      context.moveTo(x, y);
      context.lineTo(...screen(j));
    }
    context.stroke();
    ring(state.selected, radius + 4, 2);
  }
  if (state.hover >= 0) ring(state.hover, radius + 3, 1.5);
}
function ring(i, radius, line) {
  const [x, y] = screen(i);
  context.strokeStyle = css("--ink");
  context.lineWidth = line;
  context.beginPath();
  context.arc(x, y, radius, 0, 7);
  context.stroke();
}
function neighboursOf(i) {
  return Array.from(near.subarray(i * data.nearEach, (i + 1) * data.nearEach)).filter((j) => j >= 0);
}
function pointAt(x, y, reach) {
  let best = -1, distance = reach * reach;
  for (const i of all) {
    if (!state.shown[i] || !onMap(i)) continue;
    const [px, py] = screen(i), found = (px - x) ** 2 + (py - y) ** 2;
    if (found < distance) [best, distance] = [i, found];
  }
  return best;
}
function zoom(factor, x = width / 2, y = height / 2) {
  const before = half() * state.scale;
  state.scale = Math.min(60, Math.max(0.6, state.scale * factor));
  const after = half() * state.scale;
  state.x += (x - width / 2) * (1 / before - 1 / after);
  state.y -= (y - height / 2) * (1 / before - 1 / after);
  redraw();
}
function whole() {
  [state.scale, state.x, state.y] = [1, 0, 0];
  redraw();
}

// hover and selection

function showHover(i, x = 0, y = 0) {
  const card = get("hover");
  if (i !== state.hover) {
    state.hover = i;
    card.hidden = i < 0;
    if (i >= 0) {
      drawImage(get("hover-image"), i);
      const lines = [make("b", {}, nameOf(i))];
      if (state.colour && state.colour !== ident) lines.push(make("span", {}, `${state.colour.name} ${valueText(state.colour, i)}`));
      get("hover-text").replaceChildren(...lines);
    }
    redraw();
  }
  if (i < 0) return;
  const left = x + 18 + card.offsetWidth > width ? x - 18 - card.offsetWidth : x + 18;
  card.style.left = `${Math.max(4, left)}px`;
  card.style.top = `${Math.max(4, Math.min(y - 20, height - card.offsetHeight - 4))}px`;
}
function select(i) {
  state.selected = i;
  get("selected").hidden = get("near-section").hidden = i < 0;
  get("nothing").hidden = i >= 0;
  if (i < 0) {
    get("live").textContent = "Nothing is selected.";
  } else {
    drawImage(get("selected-image"), i);
    get("selected-image").setAttribute("role", "img");
    get("selected-image").setAttribute("aria-label", nameOf(i));
    get("selected-facts").replaceChildren(...columns.flatMap((column) => [make("dt", {}, column.name), make("dd", {}, valueText(column, i))]));
    listNear(i);
    const colour = state.colour ? `, ${state.colour.name} ${valueText(state.colour, i)}` : "";
    get("live").textContent = `${nameOf(i)} selected${colour}; ${neighboursOf(i).length} nearest images listed.`;
  }
  resize();
  redraw();
}
function listNear(i) {
  const items = [];
  for (let k = 0; k < data.nearEach; k += 1) {
    const j = near[i * data.nearEach + k];
    if (j < 0) continue;
    const picture = make("canvas");
    drawImage(picture, j);
    const cosine = cosines[i * data.nearEach + k].toFixed(3);
    const outside = state.shown[j] ? "" : "outside the filter";
    const button = make("button", { type: "button", onclick: () => select(j) }, picture, make("b", {}, cosine), ` ${nameOf(j)}`, ...(outside ? [make("br"), outside] : []));
    button.className = outside ? "outside" : "";
    button.setAttribute("aria-label", `${nameOf(j)}, cosine ${cosine}${outside ? ", " + outside : ""}`);
    items.push(make("li", {}, button));
  }
  get("near").replaceChildren(...items);
}
function step(dx, dy) {
  if (state.selected < 0 || !onMap(state.selected)) return first();
  const [x, y] = screen(state.selected);
  let best = -1, cost = Infinity;
  for (const i of all) {
    if (i === state.selected || !state.shown[i] || !onMap(i)) continue;
    const [px, py] = screen(i), along = (px - x) * dx + (py - y) * dy, aside = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
    if (along <= 0.01 || along < aside * 0.5) continue;
    const found = along + 2 * aside;
    if (found < cost) [best, cost] = [i, found];
  }
  if (best >= 0) select(best);
}
function first() {
  const i = pointAt(width / 2, height / 2, Infinity);
  if (i >= 0) select(i);
}

// filter

const filters = new Map();
function apply() {
  state.shown = all.map((i) => [...filters.values()].every((keeps) => keeps(i)));
  const count = state.shown.filter(Boolean).length;
  get("count").textContent = count === data.count ? `${count} images` : `${count} of ${data.count} images`;
  if (state.hover >= 0 && !state.shown[state.hover]) showHover(-1);
  if (state.selected >= 0) listNear(state.selected);
  redraw();
}
function rangeFilter(column) {
  const sorted = numbersOf(column), low = sorted[0], high = sorted[sorted.length - 1];
  const output = make("span");
  const inputs = ["smallest", "largest"].map((word, place) => {
    const input = make("input", { type: "range", min: 0, max: 1000, value: place * 1000 });
    input.setAttribute("aria-label", `${column.name}: ${word}`);
    return input;
  });
  const update = () => {
    const [from, to] = inputs.map((input) => low + (Number(input.value) / 1000) * (high - low));
    const whole = inputs[0].value === "0" && inputs[1].value === "1000";
    output.textContent = `${number(from)} to ${number(to)}`;
    inputs.forEach((input, place) => input.setAttribute("aria-valuetext", number(place ? to : from)));
    if (whole) filters.delete(column); else filters.set(column, (i) => column.values[i] !== null && column.values[i] >= from && column.values[i] <= to);
    apply();
  };
  inputs.forEach((input, place) => { input.oninput = () => {
    if (Number(inputs[0].value) > Number(inputs[1].value)) inputs[1 - place].value = input.value;
    update();
  }; });
  const reset = () => { [inputs[0].value, inputs[1].value] = [0, 1000]; update(); };
  output.textContent = `${number(low)} to ${number(high)}`;
  return [make("div", { className: "range" }, make("b", {}, column.name, output), ...inputs), reset];
}
function choiceFilter(column) {
  const boxes = column.classes.map((text) => [make("input", { type: "checkbox", checked: true }), text]);
  const update = () => {
    const kept = boxes.map(([box]) => box.checked);
    if (kept.every(Boolean)) filters.delete(column); else filters.set(column, (i) => kept[column.values[i]] === true);
    apply();
  };
  boxes.forEach(([box]) => { box.onchange = update; });
  const labels = boxes.map(([box, text]) => make("label", {}, box, text));
  const reset = () => { boxes.forEach(([box]) => { box.checked = true; }); update(); };
  return [make("fieldset", { className: "choices" }, make("legend", {}, column.name), make("div", {}, ...labels)), reset];
}

// what the pointer and the keys do

const pointers = new Map();
let moved = 0, spread = 0;
const place = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
canvas.onpointerdown = (event) => {
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, place(event));
  moved = 0;
  spread = 0;
};
canvas.onpointermove = (event) => {
  const [x, y] = place(event), before = pointers.get(event.pointerId);
  if (!before) return showHover(pointAt(x, y, 14), x, y);
  moved += Math.hypot(x - before[0], y - before[1]);
  pointers.set(event.pointerId, [x, y]);
  if (pointers.size === 2) {
    const [a, b] = [...pointers.values()], now = Math.hypot(a[0] - b[0], a[1] - b[1]);
    if (spread) zoom(now / spread, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
    spread = now;
  } else if (moved > 4) {
    const unit = half() * state.scale;
    state.x -= (x - before[0]) / unit;
    state.y += (y - before[1]) / unit;
    showHover(-1);
    redraw();
  }
};
canvas.onpointerup = (event) => {
  const [x, y] = place(event);
  if (pointers.delete(event.pointerId) && moved <= 4 && pointers.size === 0) select(pointAt(x, y, event.pointerType === "touch" ? 28 : 16));
};
canvas.onpointercancel = (event) => pointers.delete(event.pointerId);
canvas.onpointerleave = () => showHover(-1);
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * 0.0015), ...place(event));
}, { passive: false });
canvas.onkeydown = (event) => {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (event.key in steps) step(...steps[event.key]);
  else if (event.key === "Enter") first();
  else if (event.key === "Escape") select(-1);
  else if (event.key === "+") zoom(1.4);
  else if (event.key === "-") zoom(1 / 1.4);
  else return;
  event.preventDefault();
};
get("closer").onclick = () => zoom(1.6);
get("farther").onclick = () => zoom(1 / 1.6);
get("whole").onclick = whole;
get("choose-map").onchange = (event) => {
  state.map = maps[event.target.selectedIndex];
  whole();
};

const chooser = get("choose-colour"), colourable = columns.filter(varies);
chooser.append(make("option", { value: "" }, "one for all"), ...colourable.map((column) => make("option", { value: column.name }, column.name)));
chooser.onchange = () => {
  state.colour = colourable[chooser.selectedIndex - 1] || null;
  paint();
};
const resets = colourable.map((column) => {
  const [element, reset] = column.kind === "class" ? choiceFilter(column) : rangeFilter(column);
  get("filters").append(element);
  return reset;
});
get("all").onclick = () => resets.forEach((reset) => reset());
if (!colourable.length) document.querySelector(".filter").hidden = true;
document.querySelector(".filter").open = window.innerWidth >= 832 && colourable.length <= 6;

function resize() {
  const box = canvas.parentElement.getBoundingClientRect();
  [width, height] = [box.width, box.height];
  redraw();
}
new ResizeObserver(resize).observe(canvas.parentElement);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
const preferred = colourable.find((column) => column.kind === "number") || colourable[0];
if (preferred) {
  chooser.value = preferred.name;
  state.colour = preferred;
}
resize();
apply();
paint();
