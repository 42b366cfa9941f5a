// The connection with the server: a WebSocket for commands and events, WebRTC for picture and sound.
// When it is lost it is made again, with longer and longer waits, until stop() is called.

const WAITS = [0.5, 1, 2, 4, 8]; // seconds before each try
const GATHERING = 1000; // ms in which the browser finds its own addresses
const PATIENCE = 6000; // ms that a connection may be interrupted
const BUSY = 1013, BAD_MESSAGE = 1008; // codes with which the server closes

export class Link extends EventTarget {
  #wish = null;
  #microphone = null;
  #tries = 0;
  #attempt = 0; // events of older attempts are ignored
  #timer = 0;
  #socket = null;
  #peer = null;
  #sender = null;
  #before = null; // statistics

  get active() { return this.#wish !== null; }

  /** Show a face: {avatar, latency, controls}. What was shown before ends. */
  start(wish) {
    this.#wish = wish;
    this.#tries = 0;
    this.#connect();
  }

  stop() {
    this.#wish = null;
    this.#close();
  }

  /** From the next connection on, ask for this. */
  remember(wish) { if (this.active) this.#wish = wish; }

  tryNow() { if (this.active && this.#timer) this.#connect(); }

  send(command) { return this.#write(JSON.stringify(command)); }

  sendSound(samples) { return this.#write(samples.buffer); }

  async setMicrophone(track) {
    this.#microphone = track;
    await this.#sender?.replaceTrack(track);
    this.send({ type: "listen", on: track !== null });
  }

  /** Seconds: round trip of the network, how long the browser holds pictures back, and how much later
   *  than its sound a picture is shown. */
  async statistics() {
    const found = { roundTrip: null, held: null, apart: null };
    if (!this.#peer) return found;
    const played = {};
    for (const entry of (await this.#peer.getStats()).values()) {
      if (entry.type === "candidate-pair" && entry.nominated) found.roundTrip = entry.currentRoundTripTime ?? null;
      if (entry.type === "inbound-rtp") played[entry.kind] = entry.estimatedPlayoutTimestamp;
      if (entry.type === "inbound-rtp" && entry.kind === "video") {
        const [delay, count] = this.#before ?? [0, 0];
        const now = [(entry.jitterBufferDelay ?? 0) + (entry.totalDecodeTime ?? 0), entry.jitterBufferEmittedCount ?? 0];
        if (now[1] > count) found.held = (now[0] - delay) / (now[1] - count);
        this.#before = now;
      }
    }
    if (played.audio && played.video) found.apart = (played.audio - played.video) / 1000;
    return found;
  }

  #write(data) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(data);
    return true;
  }

  #tell(name, detail = {}) { this.dispatchEvent(new CustomEvent(name, { detail })); }

  #close() {
    this.#attempt++;
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#socket?.close();
    this.#peer?.close();
    this.#socket = this.#peer = this.#sender = this.#before = null;
  }

  async #connect() {
    this.#close();
    const attempt = this.#attempt;
    const current = () => attempt === this.#attempt;
    this.#tell("connecting");
    try {
      const about = await (await fetch("rtc/about")).json();
      if (!current()) return;
      const peer = this.#peer = new RTCPeerConnection({ iceServers: about.ice_servers });
      const sound = peer.addTransceiver("audio", { direction: "sendrecv" });
      peer.addTransceiver("video", { direction: "recvonly" });
      this.#sender = sound.sender;
      await this.#sender.replaceTrack(this.#microphone);
      peer.ontrack = ({ streams }) => current() && this.#tell("stream", streams[0]);
      peer.onconnectionstatechange = () => current() && this.#changed(peer);
      await peer.setLocalDescription();
      await gathered(peer);
      if (current()) this.#open(peer, current);
    } catch (error) {
      if (current()) this.#lost();
    }
  }

  #open(peer, current) {
    const address = new URL("rtc", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = this.#socket = new WebSocket(address);
    let problem = null;
    socket.onopen = () => socket.send(JSON.stringify({ offer: peer.localDescription.sdp, ...this.#wish }));
    socket.onmessage = async ({ data }) => {
      const event = JSON.parse(data);
      if (!current()) return;
      if (event.type === "error") problem = event;
      this.#tell(event.type, event);
      if (event.type !== "hello") return;
      try {
        await peer.setRemoteDescription({ type: "answer", sdp: event.answer });
        this.send({ type: "listen", on: this.#microphone !== null });
      } catch (error) {
        if (current()) this.#lost();
      }
    };
    socket.onclose = ({ code }) => {
      if (!current()) return;
      const final = code === BAD_MESSAGE || (code === BUSY && this.#tries === 0);
      if (!final) return this.#lost();
      this.stop();
      this.#tell("refused", problem ?? { what: "The server refused the connection" });
    };
  }

  #changed(peer) {
    const state = peer.connectionState;
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (state === "connected") {
      this.#tries = 0;
      this.#tell("connected");
    } else if (state === "failed" || state === "closed") {
      this.#lost();
    } else if (state === "disconnected") {
      this.#timer = setTimeout(() => this.#lost(), PATIENCE);
    }
  }

  #lost() {
    this.#close();
    if (!this.active) return;
    const seconds = WAITS[Math.min(this.#tries++, WAITS.length - 1)];
    this.#timer = setTimeout(() => this.#connect(), 1000 * seconds);
    this.#tell("lost", { seconds });
  }
}

function gathered(peer) {
  if (peer.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    setTimeout(resolve, GATHERING);
    peer.addEventListener("icegatheringstatechange", () => peer.iceGatheringState === "complete" && resolve());
  });
}
