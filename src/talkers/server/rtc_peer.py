"""One browser's WebRTC connection: a live session's picture and sound out, its microphone in."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from aioice import ice
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame
from numpy.typing import NDArray

from talkers.errors import ResourceError, UsageError
from talkers.media.manifest import SOURCE
from talkers.runtime.live_session import LiveSession
from talkers.server.delay import DelayMeter
from talkers.server.rtc_forms import Tell
from talkers.server.rtc_tracks import PictureTrack, SoundTrack, Stalled

CONNECTING_SECONDS = 20.0  # in which the connection must be made
HELD_SECONDS = 0.08  # aiortc hands a packet of sound on when four more have come
CANDIDATE = re.compile(r"^a=(candidate:[^\r\n]*|end-of-candidates)\r?\n", re.M)
HIDDEN = re.compile(r"^a=candidate:[^\r\n]*\.local [^\r\n]*\r?\n", re.M)
ICE_SERVER = re.compile(
    r"(?P<scheme>stuns?|turns?):((?P<user>[^:@\s]+):(?P<password>\S+)@)?"
    r"(?P<rest>(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?(\?transport=(udp|tcp))?)"
)
NAME, TIME = re.compile(r"^s=[^\r\n]*", re.M), re.compile(r"^t=[^\r\n]*", re.M)


class SoundTaker(Protocol):
    """What takes the sound of a browser's microphone.

    Attributes:
        on: whether it is heard.
        follows: whether the face says what is heard.
    """

    on: bool
    follows: bool

    def hear(self, samples: NDArray[np.int16], rate: int, pts: Fraction) -> None:
        """Take a block.

        Args:
            samples: int16 [n, channels].
            rate: Hz.
            pts: seconds by the microphone's clock.
        """
        ...


class Performance(Protocol):
    """What a connection shows.

    Attributes:
        session: its face.
        microphone: see `SoundTaker`.
    """

    @property
    def session(self) -> LiveSession:
        """See above."""
        ...

    @property
    def microphone(self) -> SoundTaker:
        """See above."""
        ...


class Peer:
    """A connection with one browser.

    Args:
        shown: its session is shown, and its microphone hears the browser's.
        delay: told of what comes and goes.
        size: side of the pictures, pixels.
        servers: that help to find a way; none: only direct ways.
        only_local: only programs of this machine are let in.
    """

    def __init__(
        self,
        shown: Performance,
        delay: DelayMeter,
        size: int,
        servers: Sequence[RTCIceServer],
        only_local: bool,
    ):
        self._session, self._microphone, self._local = shown.session, shown.microphone, only_local
        self._delay = delay
        self._pictures = PictureTrack(size, delay.sent)
        self._sound = SoundTrack(self._session.terms.sound_rate)
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=list(servers)))
        self._changed = asyncio.Event()
        self._hearing: set[asyncio.Task[None]] = set()
        self._connection.addTrack(self._sound)
        self._connection.addTrack(self._pictures)
        self._connection.on("connectionstatechange", self._changed.set)
        self._connection.on("track", self._listen)

    async def answer(self, offer: str) -> str:
        """What is answered to a browser's offer. It says that the picture is synthetic.

        Args:
            offer: SDP.

        Raises:
            UsageError: it is none, or of something else than sound and picture.
        """
        # a browser of this machine finds the way by itself; and nobody else resolves hidden names
        offer = (CANDIDATE if self._local else HIDDEN).sub("", offer)
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            kinds = sorted(t.kind for t in self._connection.getTransceivers() if t.mid is not None)
            if kinds != ["audio", "video"]:
                raise ValueError(f"it offers {', '.join(kinds) or 'nothing'}")
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except Exception as error:  # whatever a parser of SDP raises at what is none
            raise UsageError(
                "this offer cannot be answered",
                where="offer",
                todo="Send the SDP of an offer with one audio and one video section",
            ) from error
        return declared(self._connection.localDescription.sdp)

    async def run(self, tell: Tell) -> None:
        """Send until the connection ends.

        Args:
            tell: sends an event, such as that the session's state has changed.

        Raises:
            ResourceError: there is no way to the browser.
        """
        try:
            await asyncio.wait_for(self._until("connected"), CONNECTING_SECONDS)
        except TimeoutError as error:
            raise no_way() from error
        if self._connection.connectionState == "failed":
            raise no_way()
        if self._connection.connectionState == "closed":
            return
        pump = asyncio.create_task(self._pump(tell))
        ended = asyncio.create_task(self._until("closed"))
        try:
            await asyncio.wait({pump, ended}, return_when=asyncio.FIRST_COMPLETED)
            if pump.done():
                pump.result()
        finally:
            for task in (pump, ended):
                task.cancel()
            await asyncio.gather(pump, ended, return_exceptions=True)

    async def close(self) -> None:
        """End; nothing of it is left."""
        for task in self._hearing:
            task.cancel()
        self._pictures.stop()
        self._sound.stop()
        await self._connection.close()

    async def _until(self, state: str) -> None:
        """Wait until the connection is so, or has ended."""
        while self._connection.connectionState not in (state, "closed", "failed"):
            self._changed.clear()
            await self._changed.wait()

    async def _pump(self, tell: Tell) -> None:
        """Show what the session makes."""
        state = ""
        try:
            async for frame in self._session:
                self._pictures.show(frame)
                self._sound.play(frame)
                if frame.state != state:
                    state = frame.state
                    await tell({"type": "state", "state": state, "pts": float(frame.pts)})
        except Stalled:
            return

    def _listen(self, track: Any) -> None:
        """Hear what comes."""
        if track.kind == "audio":
            task = asyncio.create_task(self._hear(track))
            self._hearing.add(task)

    async def _hear(self, track: Any) -> None:
        """Take what the microphone sends, until it ends."""
        while True:
            try:
                block: AudioFrame = await track.recv()
            except MediaStreamError:
                return
            samples = block.to_ndarray().reshape(-1, block.layout.nb_channels)
            pts = Fraction(block.pts or 0, block.sample_rate)
            if self._microphone.on:
                if self._microphone.follows:
                    ends = pts + Fraction(len(samples), block.sample_rate)
                    self._delay.received(ends, HELD_SECONDS)
                self._microphone.hear(samples.astype(np.int16, copy=False), block.sample_rate, pts)


def no_way() -> ResourceError:
    """The error where the connection cannot be made."""
    return ResourceError(
        "no way was found for picture and sound",
        why="a firewall or a router lets none through",
        todo="Name a TURN server with --ice-server",
    )


def declared(sdp: str) -> str:
    """A description of a connection that says of itself that what comes is synthetic."""
    named = NAME.sub("s=synthetic\r\ni=AI-generated by talkers", sdp, count=1)
    return TIME.sub(lambda line: f"{line[0]}\r\na=digital-source-type:{SOURCE}", named, count=1)


def ice_server_of(text: str) -> RTCIceServer:
    """A STUN or TURN server as the command line names it.

    Args:
        text: stun:HOST[:PORT], or turn:USER:PASSWORD@HOST[:PORT][?transport=udp].

    Raises:
        UsageError: it is none.
    """
    found = ICE_SERVER.fullmatch(text)
    turn = found is not None and found["scheme"] in ("turn", "turns")
    if found is None or turn != (found["user"] is not None):
        raise UsageError(
            "this names no STUN or TURN server",
            where="--ice-server",
            todo="Write it as stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT",
        )
    url = f"{found['scheme']}:{found['rest']}"
    return RTCIceServer(url, found["user"], found["password"])


def use_address(address: str) -> None:
    """Let connections of this process use one address of this machine.

    Args:
        address: where pages are served; 0.0.0.0 or ::, all of them.
    """
    if not ipaddress.ip_address(address).is_unspecified:
        ice.get_host_addresses = lambda use_ipv4, use_ipv6: [address]
