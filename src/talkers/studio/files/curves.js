// Curves: under a video, with a line where it plays, and of a training.
import { make } from "./ask.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 1000;
const NAMES = { loudness: "Sound", mouth: "Mouth", yaw: "Yaw", pitch: "Pitch", roll: "Roll" };

function shape(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** A row of points as an SVG path in a box of WIDTH x height; `low` and `high` are its edges. */
function line(points, height, low, high) {
  const span = high - low || 1;
  return points
    .map(([x, y], k) => `${k ? "L" : "M"}${x.toFixed(1)} ${(height * (1 - (y - low) / span)).toFixed(1)}`)
    .join("");
}

function filled(values, height) {
  const half = height / 2;
  const step = WIDTH / values.length;
  const above = values.map((v, k) => `L${(k * step).toFixed(1)} ${(half * (1 - v)).toFixed(1)}`);
  const below = values.map((v, k) => `L${(k * step).toFixed(1)} ${(half * (1 + v)).toFixed(1)}`);
  return `M0 ${half}${above.join("")}${below.reverse().join("")}Z`;
}

/** Rows of curves that belong to a video. A click on them goes there. */
export function videoCurves(video, { seconds, curves, left = [] }) {
  const rows = [];
  const lines = [];
  for (const [name, values] of Object.entries(curves)) {
    const height = name === "loudness" ? 56 : 44;
    const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${height}`, preserveAspectRatio: "none" });
    svg.setAttribute("aria-hidden", "true");
    for (const { start, end } of left) {
      const x = (WIDTH * start) / seconds;
      svg.append(shape("rect", { x, y: 0, width: (WIDTH * end) / seconds - x, height, class: "t-left" }));
    }
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const points = values.map((v, k) => [(k * WIDTH) / Math.max(1, values.length - 1), v]);
    const d = name === "loudness" ? filled(values, height) : line(points, height, low, high);
    svg.append(shape("path", { d, class: `t-curve t-curve-${name}` }));
    const at = shape("line", { x1: 0, x2: 0, y1: 0, y2: height, class: "t-playhead" });
    svg.append(at);
    lines.push(at);
    const degrees = ["yaw", "pitch", "roll"].includes(name);
    const range = degrees ? `${Math.round(low) + 0}° to ${Math.round(high) + 0}°` : "";
    const label = make("span", { class: "t-curve-name" }, NAMES[name] ?? name, make("small", {}, range));
    const row = make("div", { class: "t-row", onclick: (event) => go(event, svg) }, label, svg);
    rows.push(row);
  }
  function go(event, svg) {
    const box = svg.getBoundingClientRect();
    if (event.clientX >= box.left) video.currentTime = (seconds * (event.clientX - box.left)) / box.width;
  }
  function follow() {
    const x = (WIDTH * video.currentTime) / (seconds || 1);
    for (const at of lines) {
      at.setAttribute("x1", x);
      at.setAttribute("x2", x);
    }
    if (!video.isConnected) return;
    if (!video.paused) requestAnimationFrame(follow);
  }
  for (const event of ["play", "timeupdate", "seeked"]) video.addEventListener(event, follow);
  const about = "Curves under the video: sound, mouth and head over time";
  return make("div", { class: "t-curves", role: "img", "aria-label": about }, ...rows);
}

/** A curve of a training: points of [seconds, value]. */
export function trainingCurve(name, points) {
  const height = 60;
  const values = points.map(([, value]) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const last = points[points.length - 1][0] || 1;
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${height}`, preserveAspectRatio: "none" });
  svg.setAttribute("aria-hidden", "true");
  const along = points.map(([seconds, value]) => [(WIDTH * seconds) / last, value]);
  svg.append(shape("path", { d: line(along, height, low, high), class: "t-curve" }));
  const now = values[values.length - 1];
  const label = make("span", { class: "t-curve-name" }, name, make("small", {}, `now ${Number(now.toPrecision(3))}`));
  return make("div", { class: "t-row", role: "img", "aria-label": `${name}: now ${now}` }, label, svg);
}
