// What the page asks the server, and how elements are made.

/** Ask the server; null where it cannot be reached. A refusal is thrown as a sentence. */
export async function ask(path, method = "GET") {
  let answer;
  try {
    answer = await fetch(`/studio/${path}`, { method, cache: "no-store" });
  } catch {
    return null;
  }
  if (answer.status === 204) return {};
  const told = await answer.json().catch(() => ({ what: "the server does not answer as it should" }));
  if (!answer.ok) throw new Error(sentence(told));
  return told;
}

/** A problem as a sentence. */
export function sentence({ what, where, why, todo }) {
  const place = where ? ` (${where})` : "";
  const cause = why ? `, because ${why}` : "";
  const next = todo ? ` ${todo}${/[.`]$/.test(todo) ? "" : "."}` : "";
  return `${what[0].toUpperCase()}${what.slice(1)}${place}${cause}.${next}`;
}

/** An element with attributes and children; `on...` attributes are listeners. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Seconds as people say them. */
export function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
}

/** A time code. */
export function timecode(seconds) {
  return `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(2).padStart(5, "0")}`;
}

/** Read a sentence out, for those who do not see the page. */
export function announce(text) {
  const live = document.getElementById("t-live");
  if (live) live.textContent = text;
}
