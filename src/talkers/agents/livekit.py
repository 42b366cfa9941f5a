"""A face for LiveKit agents, in the agent's own process: no server of a vendor, and no key.

`AvatarSession` is used as those of LiveKit's plug-ins are. Its parts can be used alone:
`TalkersVideo` and `TalkersAudio` fit into LiveKit's `AvatarRunner`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkers.agents.answers import Answers
from talkers.controls import Controls
from talkers.errors import missing
from talkers.runtime.avatar import Avatar
from talkers.runtime.behaviour import Latency
from talkers.runtime.live_session import LiveSession, LiveTerms

try:
    from livekit import rtc
    from livekit.agents import AgentSession
    from livekit.agents.voice.avatar import (
        AudioSegmentEnd,
        AvatarOptions,
        AvatarRunner,
        QueueAudioOutput,
        VideoGenerator,
    )
    from livekit.agents.voice.avatar import AvatarSession as LiveKitAvatarSession
    from livekit.agents.voice.io import AudioOutputCapabilities
except ImportError as error:
    raise missing("a face in LiveKit", "livekit", error) from error

SOUND_RATE = 48_000  # Hz, what WebRTC sends
NEARLY_PLAYED = 0.02  # seconds of sound that a queue may hold when an answer is called finished
TAKEN_SECONDS = 1.0  # in which whoever takes the frames must have taken the last one


class TalkersVideo(VideoGenerator):
    """A face that says what is pushed: a `VideoGenerator`, for one `AvatarRunner`.

    It gives pictures all the time, also while nobody speaks, and sound only while it speaks, so
    that the runner counts rightly how much of an answer was heard. The end of an answer is told
    when its last sound has been played.

    Args:
        avatar: whose face, or a folder or name as `Avatar.load` takes it.
        controls: of head, eyes and mouth.
        latency: low, balanced or quality; see `LiveTerms`.
        seed: of blinks and head.

    Attributes:
        options: for the `AvatarRunner`.
        runner: it, if known: then an interruption empties its queue, too.
        unheard: seconds of sound that the last interruption took from that queue.

    Raises:
        TalkersError: the avatar cannot be loaded, or the controls mean nothing to it.
    """

    def __init__(
        self,
        avatar: Avatar | str | Path = "default",
        *,
        controls: Controls | None = None,
        latency: Latency = "balanced",
        seed: int = 0,
    ):
        self._avatar = avatar if isinstance(avatar, Avatar) else Avatar.load(avatar)
        terms = LiveTerms(latency=latency, sound_rate=SOUND_RATE)
        self._answers = Answers(self._avatar, terms, controls, seed)
        size = self._avatar.size
        self.options = AvatarOptions(size, size, float(self._avatar.frame_rate), SOUND_RATE, 1)
        self.runner: AvatarRunner | None = None
        self.unheard = 0.0
        self._ends = deque[Fraction]()  # `said` at the ends of answers
        self._open = False  # whether sound came, and no end of its answer
        self._interruptions = 0  # after which no `clear_buffer` came yet
        self._taken = asyncio.Event()  # whether the sound that was given is with the runner
        self._taken.set()

    @property
    def session(self) -> LiveSession:
        """The live session, for other controls or a pause."""
        return self._answers.session

    @property
    def speaking(self) -> bool:
        """Whether an answer came whose end was not told yet."""
        return self._open or bool(self._ends)

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        """Say this after what was pushed before; or: what was pushed is a whole answer."""
        if isinstance(frame, AudioSegmentEnd):
            if self._open:  # if not, its answer was interrupted, and the next may have begun
                self._ends.append(self._answers.flush())
            self._open = False
        else:
            self._open = True
            await self._answers.push(frame.data, frame.sample_rate, frame.num_channels)

    def interrupt(self) -> None:
        """Say nothing more of what was pushed; `clear_buffer` comes later, and waits."""
        self._ends.clear()
        self._open = False
        self._interruptions += 1
        self._answers.interrupt()

    async def clear_buffer(self) -> None:
        """Say nothing more. When this returns, no more of that sound comes."""
        if not self._interruptions:
            self.interrupt()
        self._interruptions -= 1
        with suppress(TimeoutError):
            await asyncio.wait_for(self._taken.wait(), TAKEN_SECONDS)
        self.unheard = self._queued()
        if self.runner is not None:
            await self.runner.av_sync.clear_queue()

    def _queued(self) -> float:
        """Seconds of sound that the runner has, but has not played."""
        if self.runner is None:
            return 0.0
        # the runner gives no time stamps: this is minus the length of the source's queue
        return max(0.0, -self.runner.av_sync.last_audio_time)

    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        """Pictures, sound and ends of answers, each when it is due."""
        # The first picture makes the runner publish, which may wait for somebody who looks. Time
        # begins after it.
        yield await asyncio.to_thread(self._first_picture)
        said = Fraction(0)
        async for moment in self._answers.moments():
            cuts, sound = self._answers.cuts, moment.sound
            yield _video_frame(moment.picture)
            while self._ends and self._ends[0] <= said:
                if not len(sound) and self._queued() > NEARLY_PLAYED:
                    break
                self._ends.popleft()
                yield AudioSegmentEnd()
            if len(sound) and cuts == self._answers.cuts:
                self._taken.clear()
                yield rtc.AudioFrame(sound.tobytes(), SOUND_RATE, 1, len(sound))
                self._taken.set()
            said = moment.said

    def _first_picture(self) -> rtc.VideoFrame:
        with self._avatar.session() as session:
            return _video_frame(next(session).picture)

    def close(self) -> None:
        """End the session, and with it the frames. Once more does no harm."""
        self.session.close()


class TalkersAudio(QueueAudioOutput):
    """Where an agent's speech goes to be said by a face; it can be paused.

    Args:
        video: the face.
    """

    def __init__(self, video: TalkersVideo):
        super().__init__(wait_playback_start=True)  # so that LiveKit's latency figure is true
        self._capabilities = AudioOutputCapabilities(pause=True)
        self._video = video
        self._owed = 0  # answers that were interrupted, besides the one that the runner knows
        self._awaiting = False  # whether the runner is to tell of that one

    def pause(self) -> None:
        """Stop speaking, and close the mouth; go on with `resume`."""
        super().pause()
        self._video.session.pause()

    def resume(self) -> None:
        """Go on where `pause` stopped."""
        super().resume()
        self._video.session.resume()

    def clear_buffer(self) -> None:
        """Forget all that is to be said. The agent is told of every answer, or it would wait."""
        self._awaiting |= self._video.speaking
        self._owed = self._pending_playback_count - self._awaiting
        self._video.interrupt()  # now: the runner does it later, when the next answer may be there
        super().clear_buffer()
        if not self._awaiting:
            self._tell_of_the_rest()

    def _tell_of_the_rest(self) -> None:
        """Tell of answers of which nothing was heard."""
        owed, self._owed = self._owed, 0
        for _ in range(owed):
            self.on_playback_finished(playback_position=0.0, interrupted=True)

    def notify_playback_finished(self, playback_position: float, interrupted: bool) -> None:
        """Tell the agent how much of its answer was heard."""
        if interrupted:
            playback_position = max(0.0, playback_position - self._video.unheard)
        super().notify_playback_finished(playback_position, interrupted)
        if interrupted:
            self._awaiting = False
            self._tell_of_the_rest()


class AvatarSession(LiveKitAvatarSession[Any]):
    """A face for an agent: it says what the agent says, in the agent's own process.

    Args:
        avatar, controls, latency, seed: as of `TalkersVideo`.

    Attributes:
        video: the face.

    Raises:
        TalkersError: as of `TalkersVideo`.
    """

    def __init__(
        self,
        avatar: Avatar | str | Path = "default",
        *,
        controls: Controls | None = None,
        latency: Latency = "balanced",
        seed: int = 0,
    ):
        super().__init__()
        self.video = TalkersVideo(avatar, controls=controls, latency=latency, seed=seed)
        self._runner: AvatarRunner | None = None
        self._room: rtc.Room | None = None

    @property
    def avatar_identity(self) -> str:
        """The participant that shows the face: the agent itself."""
        if self._room is None or not self._room.isconnected():
            return ""
        return str(self._room.local_participant.identity)

    @property
    def provider(self) -> str:
        """Who makes the face."""
        return "talkers"

    async def start(self, agent_session: AgentSession[Any], room: rtc.Room) -> None:
        """Show the face in a room, and let it say what the agent says.

        Call it before `AgentSession.start`, so that no sound of the agent goes another way.

        Args:
            agent_session: the agent's.
            room: where it is, or will be.
        """
        await super().start(agent_session, room)
        audio = TalkersAudio(self.video)
        self._runner = self.video.runner = AvatarRunner(
            room, audio_recv=audio, video_gen=self.video, options=self.video.options
        )
        agent_session.output.replace_audio_tail(audio)
        await self._runner.start()

    async def aclose(self) -> None:
        """Leave nothing behind but the agent, which may stay in its room."""
        self.video.close()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.aclose()
        if self._room is not None:
            self._room.off("connection_state_changed", self._on_connection_state_changed)
            self._room = None  # or LiveKit removes the face's participant from it: the agent
        await super().aclose()


def _video_frame(picture: NDArray[np.uint8]) -> rtc.VideoFrame:
    """uint8 [height, width, 3] RGB -> LiveKit's frame."""
    height, width, _ = picture.shape
    return rtc.VideoFrame(width, height, rtc.VideoBufferType.RGB24, picture.tobytes())
