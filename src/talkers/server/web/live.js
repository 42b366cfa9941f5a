// What the page shows and what its buttons do.

import { Link } from "./link.js";
import { Player, decoded, watchLevel } from "./sound.js";

const $ = (id) => document.getElementById(id);
const STATES = { idle: "Idle", speaking: "Speaking", paused: "Paused" };
const link = new Link();
const player = new Player(link);
let about = null;
let microphone = null; // {stream, end}
let wantsSound = true;

// --- what is said to the reader ---

function say(text, kind = "") {
  $("message").textContent = text;
  $("message").dataset.kind = kind;
}

function sentence({ what, why, todo }) {
  const first = what.charAt(0).toUpperCase() + what.slice(1);
  return `${first}${why ? `, because ${why}` : ""}. ${todo ? `${todo}.` : ""}`.trim();
}

function phase(name, text = "", button = "") {
  const live = name === "live";
  document.body.dataset.phase = name;
  $("cover-text").textContent = text;
  $("start").hidden = !button;
  $("start").textContent = button;
  enable();
  if (!live) $("state").textContent = { off: "Not started", connecting: "Connecting", lost: "Connection lost" }[name];
  if (!live) delete $("state").dataset.state;
}

function enable() {
  const { phase: now } = document.body.dataset;
  const hears = now === "live" && about?.hears;
  $("interrupt").disabled = now !== "live";
  $("microphone").disabled = !hears;
  $("play").disabled = !hears || !$("file").files.length;
  $("say-it").disabled = now !== "live" || !about?.says;
  $("end").disabled = now === "off";
}

// --- what is asked for ---

/** What was moved; the rest is as the server has it. */
function controls() {
  const moved = (...ids) => ids.some((id) => $(id).value !== $(id).defaultValue);
  const value = (id) => Number($(id).value);
  return {
    ...(moved("yaw", "pitch") && { pose_offset: [value("yaw"), value("pitch"), 0] }),
    ...(moved("amplitude") && { amplitude: value("amplitude") }),
    ...(moved("blinks") && { blinks: value("blinks") }),
  };
}

function wish() { return { avatar: $("avatar").value || null, latency: $("latency").value, controls: controls() }; }

function showValues() {
  const units = { yaw: "°", pitch: "°", amplitude: "×", blinks: "/min" };
  for (const [id, unit] of Object.entries(units)) document.querySelector(`output[for="${id}"]`).textContent = $(id).value + unit;
}

function showPreview() {
  const name = $("avatar").value;
  if (name) $("preview").src = `rtc/preview/${encodeURIComponent(name)}`;
}

function purpose() {
  if (!about?.talks) return "It says what you speak, play or type.";
  return about.hears ? "It answers what you say, play or type." : "It answers what you write.";
}

function begin() {
  say(about?.talks && $("turns").children.length ? "A new talk begins: it does not remember the last one." : "");
  $("turns").replaceChildren();
  if (!("RTCPeerConnection" in window)) return say("This browser has no WebRTC. Use a newer one.", "error");
  phase("connecting", "Connecting …");
  link.start(wish());
}

function end() {
  link.stop();
  player.stop();
  stopMicrophone();
  $("face").srcObject = null;
  phase("off", purpose(), "Start");
  $("does").textContent = "";
  clearNumbers();
}

// --- sound ---

function sound() {
  const silenced = microphone !== null && !$("headphones").checked && !about.talks; // it must be heard to be interrupted
  $("face").muted = !wantsSound || silenced;
  $("sound").setAttribute("aria-pressed", String(!$("face").muted));
  $("sound").disabled = silenced;
}

async function startMicrophone() {
  if (!navigator.mediaDevices) return say("Browsers give no microphone to this page: open it at localhost, or over HTTPS.", "error");
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true } });
    const [track] = stream.getAudioTracks();
    track.onended = () => { stopMicrophone(); say("The microphone was taken away.", "error"); };
    microphone = { stream, end: watchLevel(stream, (level) => { $("level").value = level; }) };
    await link.setMicrophone(track);
    say(about.talks ? "Speak: it listens, and answers when you pause." : "Speak: the face follows.");
  } catch (error) {
    const denied = error.name === "NotAllowedError";
    say(denied ? "The microphone was not allowed. Allow it in your browser's address bar, then try again." : "No microphone was found. Connect one, then try again.", "error");
  }
  $("microphone").setAttribute("aria-pressed", String(microphone !== null));
  sound();
}

function stopMicrophone() {
  if (!microphone) return;
  microphone.end();
  for (const track of microphone.stream.getTracks()) { track.onended = null; track.stop(); }
  microphone = null;
  link.setMicrophone(null);
  $("microphone").setAttribute("aria-pressed", "false");
  sound();
}

async function playFile() {
  const [file] = $("file").files;
  stopMicrophone();
  interrupt();
  say("Reading the file …");
  try {
    const samples = await decoded(file);
    say(`Playing ${file.name}`);
    $("played").hidden = false;
    $("played").value = 0;
    const done = await player.play(samples, (share) => { $("played").value = share; });
    if (done) say(`${file.name} was ${about.talks ? "heard" : "said"}.`);
  } catch (error) {
    say(error.message, "error");
  }
  $("played").hidden = true;
}

function interrupt() {
  player.stop();
  link.send({ type: "interrupt" });
}

// --- numbers ---

function milliseconds(seconds) { return seconds === null || seconds === undefined ? "–" : `${Math.round(1000 * seconds)} ms`; }

function clearNumbers() { for (const id of ["delay", "server", "network", "browser", "apart", "pictures"]) $(id).textContent = "–"; }

async function showNumbers(status) {
  const { roundTrip, held, apart } = await link.statistics();
  const server = status.follows ?? status.begins;
  const follows = status.follows !== null;
  $("delay-name").textContent = follows ? "Delay, from your voice to the lips" : about.talks ? "Delay, from your last word to its first" : "Delay, until it begins to speak";
  if (follows || status.begins !== null) {
    $("delay").textContent = milliseconds(server + (roundTrip ?? 0) + (held ?? 0));
    $("server").textContent = milliseconds(server);
  }
  $("network").textContent = milliseconds(roundTrip);
  if (held !== null) $("browser").textContent = milliseconds(held);
  $("apart").textContent = milliseconds(apart);
  const skipped = Math.round(100 * status.skipped);
  $("pictures").textContent = `${Math.round(status.pictures)}/s${skipped ? `, ${skipped} % skipped` : ""}`;
}

// --- a talk ---

const DOES = { listens: "It listens.", thinks: "It thinks …", waits: "" };

/** What was said; sentences of one answer are one entry. */
function showTurn({ speaker, text }) {
  const last = $("turns").lastElementChild;
  if (speaker === "avatar" && last?.dataset.speaker === speaker && !("cut" in last.dataset)) {
    last.lastElementChild.textContent += ` ${text}`;
  } else {
    const [entry, name, words] = ["li", "strong", "span"].map((tag) => document.createElement(tag));
    entry.dataset.speaker = speaker;
    name.textContent = speaker === "user" ? "You" : about.persona || "It";
    words.textContent = text;
    entry.append(name, " ", words);
    $("turns").append(entry);
  }
  const box = $("turns").parentElement;
  box.scrollTop = box.scrollHeight;
}

function showTalk() {
  document.title = $("name").textContent = "talkers chat";
  player.ahead = 1; // or it would hear the second question before it has answered the first
  document.querySelector('label[for="text"]').textContent = "What you say to it";
  $("talk").hidden = false;
  $("talk").after($("text").closest("section"));
  $("headphones-row").hidden = true;
  $("microphone-hint").textContent = about.hears
    ? "It listens while you speak, and falls silent when you begin. If it hears itself, use headphones."
    : "This server understands no speech: write.";
  $("file-hint").textContent = "A recording of what you would say to it.";
  $("say-it").textContent = "Send";
  $("text-hint").textContent = "Enter sends it, Shift+Enter begins a new line.";
  $("text").placeholder = "Hello! Who are you?";
}

// --- events ---

link.addEventListener("stream", ({ detail }) => {
  if ($("face").srcObject !== detail) $("face").srcObject = detail;
  sound();
  $("face").play().catch(() => { wantsSound = false; sound(); $("face").play().catch(() => {}); });
});
link.addEventListener("connected", () => { phase("live"); $("state").textContent = "Idle"; if ($("message").dataset.kind === "lost") again(); });
link.addEventListener("state", ({ detail }) => {
  $("state").textContent = STATES[detail.state];
  $("state").dataset.state = detail.state;
  if (detail.state === "speaking" && $("message").dataset.kind === "preparing") say("");
});
link.addEventListener("status", ({ detail }) => showNumbers(detail));
function again() {
  $("turns").replaceChildren();
  say(about.talks ? "Connected again: a new talk begins." : "Connected again.");
}
link.addEventListener("turn", ({ detail }) => showTurn(detail));
link.addEventListener("talk", ({ detail }) => { $("does").textContent = DOES[detail.does]; });
link.addEventListener("preparing", () => say("Preparing the voice …", "preparing"));
link.addEventListener("interrupted", ({ detail }) => {
  if (!detail.seconds) return;
  say(`Interrupted after ${detail.seconds.toFixed(1)} s.`);
  [...document.querySelectorAll('#turns [data-speaker="avatar"]')].at(-1)?.setAttribute("data-cut", "");
});
link.addEventListener("error", ({ detail }) => say(sentence(detail), "error"));
link.addEventListener("lost", ({ detail }) => {
  player.stop();
  $("does").textContent = "";
  clearNumbers();
  phase("lost", `The connection was lost. Trying again in ${detail.seconds} s.`, "Try now");
  say("The connection was lost. It is made again by itself.", "lost");
});
link.addEventListener("refused", ({ detail }) => {
  end();
  phase("off", sentence(detail), "Try again");
  say(sentence(detail), "error");
});

$("start").addEventListener("click", () => (link.active ? link.tryNow() : begin()));
$("end").addEventListener("click", () => { end(); $("start").focus(); });
$("interrupt").addEventListener("click", interrupt);
$("sound").addEventListener("click", () => { wantsSound = !wantsSound; sound(); });
$("headphones").addEventListener("change", sound);
$("microphone").addEventListener("click", () => (microphone ? stopMicrophone() : startMicrophone()));
$("file").addEventListener("change", enable);
$("play").addEventListener("click", playFile);
$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) { say("There is nothing to say yet: write something first.", "error"); return $("text").focus(); }
  if (!about.talks) stopMicrophone();
  say("");
  link.send({ type: "say", text });
  if (about.talks) $("text").value = "";
});
$("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  if (!$("say-it").disabled) $("say").requestSubmit();
});
$("controls").addEventListener("input", () => { showValues(); link.remember(wish()); });
let sending = 0;
$("controls").addEventListener("input", ({ target }) => {
  if (target.type !== "range") return;
  clearTimeout(sending);
  sending = setTimeout(() => link.send({ type: "set", controls: controls() }), 80);
});
$("controls").addEventListener("reset", () => {
  const before = [$("avatar").value, $("latency").value];
  setTimeout(() => {
    showValues();
    showPreview();
    link.remember(wish());
    if (!link.active) return;
    if (String(before) === String([$("avatar").value, $("latency").value])) link.send({ type: "set", controls: controls() });
    else begin();
  });
});
for (const id of ["avatar", "latency"]) $(id).addEventListener("change", () => { showPreview(); if (link.active) { player.stop(); begin(); } });
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !$("interrupt").disabled) interrupt(); });
window.addEventListener("online", () => link.tryNow());
window.addEventListener("pagehide", end);

// --- the beginning ---

async function load() {
  showValues();
  phase("off", "One moment …");
  try {
    about = await (await fetch("rtc/about")).json();
  } catch {
    phase("off", "The server does not answer.", "");
    return say("The server does not answer. Start it, then load this page again.", "error");
  }
  for (const name of about.avatars) $("avatar").add(new Option(name));
  $("text").maxLength = about.characters;
  if (about.talks) showTalk();
  phase("off", purpose(), "Start");
  if (!about.says) {
    $("text").disabled = true;
    $("text").placeholder = "This server has no voice.";
    $("text-hint").textContent = "It needs a package: pip install 'talkers[say]', then start the server again.";
  }
  if (!navigator.mediaDevices) $("microphone").title = "Browsers give a microphone only at localhost or over HTTPS";
  showPreview();
}

load();
