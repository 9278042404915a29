// Lines over time, drawn as SVG: the plots with their axes, and the small ones in the tiles.

const SVG = "http://www.w3.org/2000/svg";
const SPANS = [1, 2, 5, 10].map((minutes) => minutes * 60_000);
const MARGIN = { left: 44, right: 8, top: 8, bottom: 20 };
const HEIGHT = 150;

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function drawn(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

export function number(value) {
  if (value >= 1e6) return `${(value / 1e6).toFixed(value < 1e7 ? 2 : 1)} M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(value < 1e5 ? 1 : 0)} k`;
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

// The least of 1, 2, 5, 10, 20, ... that is not less.
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}

function ago(ms) {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds} s ago` : `${Math.floor(seconds / 60)} min ${seconds % 60} s ago`;
}

// Points as a path; a pause (the server was held up) is a gap.
function path(points, pause) {
  let made = "";
  let last = -Infinity;
  for (const { at, x, y } of points) {
    made += `${at - last > pause ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`;
    last = at;
  }
  return made;
}

// series: [{name, of: sample => number, look: class}]. Returns draw(samples), samples with their uptime in ms.
export function plot(parent, title, unit, series) {
  const svg = drawn("svg", { role: "img", tabindex: "0", height: HEIGHT });
  const legend = element("p", { class: "legend" });
  const when = element("span", { class: "when" });
  const values = series.map(({ name, look }) => {
    const value = element("b");
    legend.append(element("span", {}, element("i", { class: look }), `${name} `, value));
    return value;
  });
  const heading = element("h2", {}, title, " ", element("small", {}, unit), when);
  parent.append(element("figure", { class: "panel" }, heading, legend, svg));

  let samples = [];
  let chosen = null; // the uptime of the sample under the pointer
  let scale = null;

  function tell() {
    const sample = samples.find(({ uptime }) => uptime === chosen) ?? samples.at(-1);
    if (!sample) return;
    const shown = series.map(({ of }) => number(of(sample)));
    values.forEach((value, at) => (value.textContent = shown[at]));
    const past = sample !== samples.at(-1);
    when.textContent = past ? ago(samples.at(-1).uptime - sample.uptime) : "";
    const told = series.map(({ name }, at) => `${name} ${shown[at]}`).join(", ");
    svg.setAttribute("aria-label", `${title}, ${unit}, ${past ? when.textContent : "now"}: ${told}`);
    const line = svg.querySelector(".chosen");
    if (line && scale) {
      line.setAttribute("visibility", past ? "visible" : "hidden");
      line.setAttribute("d", `M${scale.x(sample.uptime).toFixed(1)} ${MARGIN.top}V${HEIGHT - MARGIN.bottom}`);
    }
  }

  function redraw() {
    const width = svg.clientWidth;
    if (!width || !samples.length) return;
    svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const now = samples.at(-1).uptime;
    const age = now - samples[0].uptime;
    const span = SPANS.find((each) => each >= age) ?? SPANS.at(-1);
    const most = Math.max(0, ...series.flatMap(({ of }) => samples.map(of)));
    const top = most ? roundUp(most) : 1;
    const right = width - MARGIN.right;
    const bottom = HEIGHT - MARGIN.bottom;
    scale = {
      x: (uptime) => right - ((now - uptime) / span) * (right - MARGIN.left),
      y: (value) => bottom - (value / top) * (bottom - MARGIN.top),
    };
    const parts = [];
    for (const value of [0, top / 2, top]) {
      const y = scale.y(value);
      parts.push(drawn("path", { class: "grid", d: `M${MARGIN.left} ${y}H${right}` }));
      parts.push(drawn("text", { x: MARGIN.left - 6, y: y + 4, "text-anchor": "end" }, value < 1000 ? String(value) : number(value)));
    }
    const minutes = span / 60_000;
    for (const [back, anchor] of [[minutes, "start"], [minutes / 2, "middle"], [0, "end"]]) {
      const text = back === 0 ? "now" : back < 1 ? `−${back * 60} s` : `−${back} min`;
      parts.push(drawn("text", { x: scale.x(now - back * 60_000), y: HEIGHT - 4, "text-anchor": anchor }, text));
    }
    for (const { of, look } of series) {
      const points = samples.map((each) => ({ at: each.uptime, x: scale.x(each.uptime), y: scale.y(of(each)) }));
      parts.push(drawn("path", { class: `line ${look}`, d: path(points, 8000) }));
    }
    parts.push(drawn("path", { class: "chosen", d: "", visibility: "hidden" }));
    svg.replaceChildren(...parts);
    tell();
  }

  function choose(sample) {
    chosen = sample && sample !== samples.at(-1) ? sample.uptime : null;
    tell();
  }

  svg.addEventListener("pointermove", (event) => {
    if (!scale) return;
    const distance = (sample) => Math.abs(scale.x(sample.uptime) - event.offsetX);
    choose(samples.reduce((best, each) => (distance(each) < distance(best) ? each : best)));
  });
  svg.addEventListener("pointerleave", () => choose(null));
  svg.addEventListener("blur", () => choose(null));
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -15, PageDown: 15 }[event.key];
    if (!step || !samples.length) return;
    event.preventDefault();
    const at = chosen === null ? samples.length - 1 : samples.findIndex(({ uptime }) => uptime === chosen);
    choose(samples[Math.min(Math.max(at + step, 0), samples.length - 1)]);
  });
  new ResizeObserver(redraw).observe(svg);

  return (latest) => {
    samples = latest;
    redraw();
  };
}

// A line without axes, from the least value to the largest.
export function sparkline() {
  const svg = drawn("svg", { class: "spark", viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": "true" });
  const line = drawn("path", { class: "line first" });
  svg.append(line);
  return {
    svg,
    draw(samples, of) {
      if (samples.length < 2) return line.removeAttribute("d");
      const values = samples.map(of);
      const least = Math.min(...values);
      const range = Math.max(...values) - least || 1;
      const begun = samples[0].uptime;
      const span = samples.at(-1).uptime - begun;
      const points = samples.map((sample, at) => ({
        at: sample.uptime,
        x: ((sample.uptime - begun) / span) * 100,
        y: 22 - ((values[at] - least) / range) * 20,
      }));
      line.setAttribute("d", path(points, 8000));
    },
  };
}
