// What a job has made, large.
import { ask, duration, make, timecode } from "./ask.js";
import { trainingCurve, videoCurves } from "./curves.js";
import { together } from "./together.js";

const NO_MARK = "The mark of talkers was not found in the frames.";

/** Show a job that is done, or a training that goes on. Returns what is shown. */
export async function show(job, open) {
  const files = `/studio/jobs/${job.id}/files`;
  const kinds = {
    speak: () => film(job, open),
    dub: () => film(job, open),
    portrait: () => avatar(job, files, open),
    train: () => (job.state === "done" ? avatar(job, files, open) : training(job)),
    check: () => checked(job, files),
    compare: () => compared(job, files),
    verify: () => verified(job),
  };
  const body = await kinds[job.kind]();
  const notes = job.notes.map((note) => make("li", {}, note));
  return make(
    "div",
    {},
    make("h2", {}, heading(job)),
    ...body,
    notes.length ? make("details", { class: "t-notes" }, make("summary", {}, `Notes (${notes.length})`), make("ul", {}, ...notes)) : null,
  );
}

export function heading(job) {
  const names = {
    speak: "speaks",
    dub: "dubbed",
    portrait: "portrait",
    train: "training",
    check: "footage check",
    compare: "compared",
    verify: "verified",
  };
  return `${job.title || "Untitled"}: ${names[job.kind]}`;
}

async function film(job, open) {
  const address = `/studio/jobs/${job.id}/files/video.mp4`;
  const video = make("video", { src: address, controls: true, playsinline: true, "aria-label": heading(job) });
  const curves = await fetch(`/studio/jobs/${job.id}/files/curves.json`).then((a) => (a.ok ? a.json() : null));
  const title = (job.title || "talkers").replace(/\.\w{2,4}$/, "");
  const name = `${title.replace(/[^\w.-]+/g, "-")}.mp4`;
  const marked = job.kind === "dub" ? "signed. Its frames carry no mark: they are the film's." : "marked in its frames, and signed.";
  const download = make("a", { href: address, download: name, class: "t-button t-main" }, "Download");
  const again = job.outcome.avatar
    ? make("button", { type: "button", class: "t-button", onclick: () => open(job.outcome.avatar) }, "Speak with it again")
    : null;
  return [
    video,
    curves ? videoCurves(video, curves) : null,
    make("div", { class: "t-controls" }, download, again),
    make("p", { class: "t-quiet" }, `Made by a machine: ${marked}`),
  ];
}

async function avatar(job, files, open) {
  const name = job.outcome.avatar;
  return [
    make("img", { src: `${files}/preview.png`, alt: `The avatar ${name}`, class: "t-preview" }),
    make("div", { class: "t-controls" }, make("button", { type: "button", class: "t-button t-main", onclick: () => open(name) }, "Speak with it")),
  ];
}

async function training(job) {
  const place = make("div", {});
  async function refresh() {
    const state = await ask(`jobs/${job.id}/training`).catch(() => null);
    if (!state) return;
    const parts = [];
    const newest = state.montages[state.montages.length - 1];
    if (newest) {
      const about = "Held-out frames: above as they are, below as they are made";
      parts.push(make("img", { src: `/studio/jobs/${job.id}/montages/${newest}`, alt: about, class: "t-montage" }));
      parts.push(make("p", { class: "t-quiet" }, `${about}.`));
    }
    for (const [stage, curves] of Object.entries(state.curves)) {
      parts.push(make("h3", {}, stage));
      const known = Object.entries(curves).filter(([, points]) => points.length > 1);
      parts.push(...known.slice(0, 4).map(([name, points]) => trainingCurve(name, points)));
    }
    if (!parts.length) parts.push(make("p", { class: "t-quiet" }, "Pictures and curves come when it has learnt something."));
    place.replaceChildren(...parts);
  }
  await refresh();
  const timer = setInterval(() => (place.isConnected ? refresh() : clearInterval(timer)), 3000);
  return [place];
}

async function checked(job, files) {
  const { seconds, usable, findings, files: count } = job.outcome;
  const verdict = usable ? `${duration(seconds)} of ${count} ${count > 1 ? "files" : "file"} can be used.` : "None of this footage can be used.";
  const rows = findings.map((finding) =>
    make(
      "li",
      { class: `t-finding t-${finding.severity}` },
      finding.picture ? make("img", { src: `${files}/${finding.picture}`, alt: `At ${timecode(finding.at)}` }) : null,
      make(
        "div",
        {},
        make("strong", {}, `${finding.severity === "error" ? "Error" : "Warning"}: ${finding.what}`),
        make("p", {}, `${finding.name}${finding.at === null ? "" : `, at ${timecode(finding.at)}`}. ${finding.todo}.`),
      ),
    ),
  );
  const none = make("p", {}, "Nothing is wrong with it.");
  return [make("p", { class: "t-verdict" }, verdict), rows.length ? make("ul", { class: "t-findings" }, ...rows) : none];
}

async function compared(job, files) {
  const { videos, figures } = job.outcome;
  const pair = together([["First", `${files}/${videos[0]}`], ["Second", `${files}/${videos[1]}`]]);
  if (!figures) return [pair];
  const round = (value) => (value === null ? "–" : String(Number(value.toPrecision(3))));
  const rows = Object.entries(figures).map(([name, { first, second, still }]) =>
    make("tr", {}, make("th", { scope: "row" }, name), ...[first, second, still].map((v) => make("td", {}, round(v)))),
  );
  const heads = ["Figure", "First", "Second with itself", "A still picture"].map((text) => make("th", { scope: "col" }, text));
  const table = make("table", {}, make("caption", {}, "The first against the second"), make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
  return [pair, make("div", { class: "t-scroll", tabindex: 0, role: "region", "aria-label": "Figures" }, table)];
}

async function verified(job) {
  const { manifest, mark } = job.outcome;
  const says = {
    valid: "Whole: nothing was changed since it was signed.",
    trusted: "Whole, and signed by somebody whom this machine trusts.",
    invalid: "Damaged, or the video was changed.",
    none: "There is none.",
  };
  const generated = manifest.by_machine || mark.there;
  const facts = [
    ["Manifest", says[manifest.state] ?? manifest.state],
    ["Made by", manifest.made_by],
    ["Signed by", manifest.signed_by],
    ["Problems", manifest.problems?.join(", ")],
    ["Mark in the frames", mark.there ? `Found (score ${mark.score.toFixed(1)}).` : `${NO_MARK} (score ${mark.score.toFixed(1)})`],
  ];
  const verdict = generated ? "This video says that a machine made it." : "This video does not say that a machine made it. That proves nothing.";
  const list = facts.filter(([, value]) => value).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]);
  return [make("p", { class: "t-verdict" }, verdict), make("dl", {}, ...list)];
}
