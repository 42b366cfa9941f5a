// The page's own part: a visitor's jobs and avatars, how far they are, and the one that is shown.
import { announce, ask, duration, make, sentence } from "./ask.js";
import { heading, show } from "./stage.js";

const STATES = { waiting: "waits", running: "runs", paused: "paused", done: "done", failed: "failed" };
const BUSY_MS = 1000;
const IDLE_MS = 4000;
const EMPTY = "Nothing yet. What you make is listed here, also when you come back with this browser.";

let shown = null; // the id of the job on the stage
let seen = null; // the jobs of the last look, by id
let last = "";
let timer = 0;

let opening = 0;

/** Let the avatar speak in the tab Speak; or only offer it, unless one is about to be opened. */
function open(name) {
  if (!name && Date.now() - opening < 500) return;
  opening = name ? Date.now() : 0;
  const field = document.querySelector("#t-open-name textarea, #t-open-name input");
  field.value = name;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  setTimeout(() => document.getElementById("t-open").click(), 50);
}

async function change(path, method) {
  try {
    await ask(path, method);
  } catch (error) {
    announce(error.message);
    window.alert(error.message);
  }
  look();
}

function button(text, about, onclick) {
  return make("button", { type: "button", class: "t-button", "aria-label": `${text}: ${about}`, onclick }, text);
}

function status(job) {
  if (job.state === "running") {
    const left = job.seconds_left === null ? "" : `, ${duration(job.seconds_left)} left`;
    const share = job.progress ? `, ${Math.round(100 * job.progress)} %` : "";
    return `${job.stage || "begins"}${share}${left}`;
  }
  if (job.state === "failed") return sentence(job.error);
  if (job.state === "done" && job.kept_for !== null) return `done; kept for ${duration(job.kept_for)}`;
  return STATES[job.state];
}

function card(job) {
  const title = heading(job);
  const busy = job.state === "running" || job.state === "waiting";
  const resumes = job.state === "paused" || (job.state === "failed" && job.pausable);
  const tools = [
    job.state === "done" || job.kind === "train" ? button("Show", title, () => stage(job, true)) : null,
    busy && job.pausable ? button("Pause", title, () => change(`jobs/${job.id}/pause`, "POST")) : null,
    resumes ? button("Resume", title, () => change(`jobs/${job.id}/resume`, "POST")) : null,
    button(busy ? "Cancel" : "Remove", title, () => remove(job)),
  ];
  const bar = make("progress", { max: 1, value: job.progress, "aria-label": `Progress of ${title}` });
  if (!job.progress) bar.removeAttribute("value");
  return make(
    "li",
    { class: `t-card t-${job.state}`, "data-id": job.id, "data-kind": job.kind, "data-state": job.state },
    make("strong", {}, title),
    make("p", { class: job.state === "failed" ? "t-problem" : "t-quiet" }, status(job)),
    busy ? bar : null,
    make("div", { class: "t-tools" }, ...tools),
  );
}

function remove(job) {
  const ends = job.kind === "train" && job.state !== "done";
  if (ends && !window.confirm("Remove this training with its footage and all that it has learnt?")) return;
  change(`jobs/${job.id}`, "DELETE");
}

function avatarCard(name) {
  const question = `Delete the avatar ${name}? It cannot be made again without its pictures.`;
  return make(
    "li",
    { class: "t-card t-avatar" },
    make("img", { src: `/studio/avatars/own:${encodeURIComponent(name)}/preview`, alt: "" }),
    make("strong", {}, name),
    make(
      "div",
      { class: "t-tools" },
      button("Speak", name, () => open(name)),
      button("Delete", name, () => window.confirm(question) && change(`avatars/${encodeURIComponent(name)}`, "DELETE")),
    ),
  );
}

async function stage(job, asked) {
  const place = document.getElementById("t-stage");
  shown = job.id;
  place.replaceChildren(await show(job, open));
  place.dataset.id = job.id;
  if (asked) {
    place.scrollIntoView({ behavior: "smooth", block: "nearest" });
    place.focus({ preventScroll: true });
  }
}

function draw({ jobs, avatars }) {
  const place = document.getElementById("t-work");
  const focused = document.activeElement?.getAttribute("aria-label");
  const parts = [make("h2", {}, "Your work")];
  if (jobs.length) parts.push(make("ul", { class: "t-cards" }, ...jobs.map(card)));
  else parts.push(make("p", { class: "t-quiet" }, EMPTY));
  if (avatars.length) {
    parts.push(make("h2", {}, "Your avatars"));
    parts.push(make("ul", { class: "t-cards" }, ...avatars.map(avatarCard)));
  }
  const within = place.contains(document.activeElement);
  place.replaceChildren(...parts);
  if (within) [...place.querySelectorAll("button")].find((b) => b.getAttribute("aria-label") === focused)?.focus();
}

async function react(jobs) {
  const now = new Map(jobs.map((job) => [job.id, job]));
  if (shown && !now.has(shown)) {
    shown = null;
    document.getElementById("t-stage").replaceChildren();
  }
  for (const job of jobs) {
    const before = seen?.get(job.id);
    if (seen && before?.state !== job.state) {
      announce(`${heading(job)}: ${status(job)}`);
      if (job.state === "done") await stage(job, false);
      if (job.state === "done" && job.outcome.avatar) open("");
    }
  }
  if (!shown && jobs.length) {
    const newest = jobs.find((job) => job.state === "done" || (job.kind === "train" && job.state === "running"));
    if (newest) await stage(newest, false);
  }
  seen = now;
}

/** Look how far everything is, and look again. */
async function look() {
  clearTimeout(timer);
  let wait = IDLE_MS;
  const place = document.getElementById("t-work");
  if (place) {
    try {
      const work = await ask("work");
      document.body.classList.toggle("t-lost", work === null);
      if (work) {
        if (work.jobs.some((job) => ["waiting", "running"].includes(job.state))) wait = BUSY_MS;
        const told = JSON.stringify([work.jobs.map(({ kept_for, ...rest }) => ({ ...rest, kept: Math.round((kept_for ?? 0) / 60) })), work.avatars]);
        if (told !== last || !place.querySelector("h2")) draw(work);
        last = told;
        await react(work.jobs);
      } else lost(place);
    } catch (error) {
      place.replaceChildren(make("p", { class: "t-problem", role: "alert" }, error.message));
      last = "";
    }
  } else wait = 200; // gradio has not drawn the page yet
  timer = setTimeout(look, wait);
}

function lost(place) {
  if (place.querySelector(".t-gone")) return;
  const text = "The server cannot be reached. The page goes on looking for it; what was done is not lost as long as it runs.";
  place.prepend(make("p", { class: "t-problem t-gone", role: "alert" }, text));
  last = "";
}

window.talkersStudio = { look };
// a handler has answered: there may be a new job
new MutationObserver((changes) => {
  if (changes.some(({ target }) => target.closest?.(".t-answer"))) look();
}).observe(document.documentElement, { childList: true, subtree: true });
look();
