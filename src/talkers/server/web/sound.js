// Sound of files, as the server takes it, and how loud a microphone is.

export const RATE = 48000; // Hz
const PIECE = RATE; // samples that are sent at once
const MOST_BYTES = 200e6, MOST_SECONDS = 600;

/** A file's sound: Int16Array, mono. Throws an Error whose message is for the reader. */
export async function decoded(file) {
  if (file.size > MOST_BYTES) throw new Error("This file is larger than 200 MB. Choose a shorter one.");
  let buffer;
  try {
    buffer = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer());
  } catch {
    throw new Error(`${file.name} has no sound that this browser can read. Try WAV, MP3 or M4A.`);
  }
  if (buffer.duration > MOST_SECONDS) throw new Error("This file is longer than 10 minutes. Choose a shorter one.");
  const samples = new Int16Array(buffer.length);
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, k) => buffer.getChannelData(k));
  for (let k = 0; k < samples.length; k++) {
    let sum = 0;
    for (const channel of channels) sum += channel[k];
    samples[k] = Math.max(-1, Math.min(1, sum / channels.length)) * 32767;
  }
  return samples;
}

/** Sends sound piece by piece, as it is said. */
export class Player {
  ahead = 15; // seconds that are sent before they are said
  #link;
  #round = 0;
  #waiting = 0; // seconds that the server has and has not said
  #told = 0; // how often it has told

  constructor(link) {
    this.#link = link;
    link.addEventListener("status", ({ detail }) => { this.#waiting = detail.queued; this.#told++; });
  }

  stop() { this.#round++; }

  /** Play all; tells its progress, 0 to 1. Resolves to whether it came to its end. */
  async play(samples, progress) {
    const round = ++this.#round;
    this.#waiting = 0;
    const begun = performance.now();
    for (let at = 0; at < samples.length; at += PIECE) {
      while (at / RATE - (performance.now() - begun) / 1000 > this.ahead) {
        await pause(200);
        if (round !== this.#round) return false;
        progress((at / RATE - this.#waiting) / (samples.length / RATE));
      }
      const piece = samples.slice(at, at + PIECE);
      if (!this.#link.sendSound(piece)) return false;
      this.#waiting += piece.length / RATE;
      while (this.#waiting > this.ahead) {
        await pause(200);
        if (round !== this.#round) return false;
        progress((at / RATE - this.#waiting) / (samples.length / RATE));
      }
    }
    this.#link.send({ type: "flush" });
    const told = this.#told + 2; // what it tells next may be older than the last piece
    while (this.#waiting > 0.1 || this.#told < told) {
      await pause(200);
      if (round !== this.#round) return false;
      progress(1 - this.#waiting / (samples.length / RATE));
    }
    return true;
  }
}

function pause(ms) { return new Promise((resolve) => setTimeout(resolve, ms)); }

/** Shows a microphone's loudness, 0 to 1, until its track ends. Returns what ends it before. */
export function watchLevel(stream, show) {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const mean = samples.reduce((sum, x) => sum + x * x, 0) / samples.length;
    show(Math.max(0, Math.min(1, 1 + Math.log10(Math.sqrt(mean) + 1e-6) / 2.5)));
  }, 100);
  return () => { clearInterval(timer); context.close(); show(0); };
}
