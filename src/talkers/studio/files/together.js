// Two videos in step, with one play button.
import { make } from "./ask.js";

const APART = 0.08; // seconds, from which the second video is set to where the first is

/** Two players that go together. `sources` are [name, address]. */
export function together(sources) {
  const videos = sources.map(([name, address]) =>
    make("video", { src: address, playsinline: true, preload: "auto", "aria-label": name }),
  );
  const [first, second] = videos;
  second.muted = true;
  const play = make("button", { type: "button", class: "t-button t-main" }, "Play");
  const bar = make("input", { type: "range", min: 0, max: 1000, value: 0, "aria-label": "Position in both videos" });
  const sound = make("button", { type: "button", class: "t-button" }, "Hear the second");
  const failed = make("p", { class: "t-problem", role: "alert", hidden: true });

  function shared() {
    return Math.min(...videos.map((video) => video.duration || Infinity));
  }
  function go(seconds) {
    for (const video of videos) video.currentTime = seconds;
  }
  play.addEventListener("click", async () => {
    if (first.paused) {
      if (first.currentTime >= shared() - 0.05) go(0);
      else second.currentTime = first.currentTime;
      await Promise.all(videos.map((video) => video.play())).catch(() => {});
    } else videos.forEach((video) => video.pause());
  });
  bar.addEventListener("input", () => go((shared() * bar.value) / 1000));
  sound.addEventListener("click", () => {
    [first.muted, second.muted] = [second.muted, first.muted];
    sound.textContent = second.muted ? "Hear the second" : "Hear the first";
  });
  first.addEventListener("play", () => (play.textContent = "Pause"));
  first.addEventListener("pause", () => {
    play.textContent = "Play";
    second.pause();
  });
  first.addEventListener("timeupdate", () => {
    if (Math.abs(second.currentTime - first.currentTime) > APART && !first.paused) {
      second.currentTime = first.currentTime;
    }
    const end = shared();
    if (Number.isFinite(end)) bar.value = (1000 * first.currentTime) / end;
    if (first.currentTime >= end) videos.forEach((video) => video.pause());
  });
  videos.forEach((video, k) =>
    video.addEventListener("error", () => {
      failed.hidden = false;
      failed.textContent = `This browser cannot show the ${k ? "second" : "first"} video. Give it as MP4 (H.264).`;
    }),
  );
  const columns = sources.map(([name], k) =>
    make("figure", {}, videos[k], make("figcaption", {}, name)),
  );
  return make(
    "div",
    {},
    make("div", { class: "t-pair" }, ...columns),
    failed,
    make("div", { class: "t-controls" }, play, bar, sound),
  );
}
