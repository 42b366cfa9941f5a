"""A face for pipecat: speech of a TTS service in, the same speech and pictures in step out.

Put it between the TTS service and the transport's output. What comes after sound in the pipeline
(the text that was spoken, the end of the reply) stays after it: an interruption leaves in the
conversation what was really said. pipecat's own transports keep the same order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from talkers.agents.answers import Answers, Moment
from talkers.controls import Controls
from talkers.errors import TalkersError, missing
from talkers.runtime.avatar import Avatar
from talkers.runtime.behaviour import Latency
from talkers.runtime.live_session import LiveTerms

try:
    from pipecat.frames.frames import (
        CancelFrame,
        EndFrame,
        Frame,
        InterruptionFrame,
        OutputImageRawFrame,
        OutputTransportReadyFrame,
        ServiceUpdateSettingsFrame,
        SystemFrame,
        TTSAudioRawFrame,
        TTSStartedFrame,
        TTSStoppedFrame,
    )
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
    from pipecat.services.ai_service import AIService
    from pipecat.services.settings import NOT_GIVEN, NotGiven, ServiceSettings
except ImportError as error:
    raise missing("a face in pipecat", "pipecat", error) from error


@dataclass
class TalkersVideoSettings(ServiceSettings):
    """What can be changed while the pipeline runs, by a `ServiceUpdateSettingsFrame`.

    Attributes:
        controls: of head, eyes and mouth.
    """

    controls: Controls | NotGiven | None = field(default_factory=lambda: NOT_GIVEN)


class TalkersVideoService(AIService):
    """An avatar in a pipeline: it takes TTS audio and gives pictures, and the sound with them.

    Its pictures come all the time, also while nobody speaks, from when the output transport is
    ready or the first sound comes. Its sound comes as `TTSAudioRawFrame` and only while it speaks,
    so that the transport tells rightly when the bot starts and stops speaking.

    Args:
        avatar: whose face, or a folder or name as `Avatar.load` takes it.
        latency: low, balanced or quality; see `LiveTerms`.
        seed: of blinks and head.
        settings: its controls at the beginning.
        **kwargs: of pipecat's `FrameProcessor`, such as its name.

    Raises:
        TalkersError: the avatar cannot be loaded, or the settings mean nothing to it.
    """

    Settings = TalkersVideoSettings

    def __init__(
        self,
        avatar: Avatar | str | Path = "default",
        *,
        latency: Latency = "balanced",
        seed: int = 0,
        settings: TalkersVideoSettings | None = None,
        **kwargs: Any,
    ):
        chosen = TalkersVideoSettings(model=None, controls=None)
        if settings is not None:
            chosen.apply_update(settings)
        super().__init__(settings=chosen, **kwargs)
        self._avatar = avatar if isinstance(avatar, Avatar) else Avatar.load(avatar)
        self._latency, self._seed = latency, seed
        # what cannot be is told now, not when the pipeline begins
        self._avatar.session(controls=chosen.controls, terms=LiveTerms(latency)).close()
        self._answers: Answers | None = None
        self._showing: asyncio.Task[None] | None = None
        self._held = deque[tuple[Fraction, Frame]]()  # each until so many seconds are said
        self._kept = Fraction(0)  # what comes before this may not be interrupted
        self._spoken: TTSAudioRawFrame | None = None  # the newest that came

    def can_generate_metrics(self) -> bool:
        """Yes: TTFB is the time from an answer's first sound to the first sound with a picture."""
        return True

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Make the first picture, which takes longest, while other services connect."""
        await super().setup(setup)
        terms = LiveTerms(latency=self._latency, sound_rate=setup.audio_out_sample_rate)
        self._answers = await asyncio.to_thread(self._begun, terms)

    def _begun(self, terms: LiveTerms) -> Answers:
        controls = self._settings.controls
        with self._avatar.session(controls=controls) as session:
            next(session)
        return Answers(self._avatar, terms, controls, self._seed)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Say sound; stop when interrupted; let everything else pass, in its place."""
        if isinstance(frame, InterruptionFrame):
            await self.cancel_ttfb_metrics()  # there was no first sound
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame):
            await self._interrupt()
        if isinstance(frame, TTSAudioRawFrame) and self._answers is not None:
            await self._say(frame, self._answers)
            return
        if isinstance(frame, TTSStoppedFrame) and self._answers is not None:
            self._answers.flush()
        if isinstance(frame, OutputTransportReadyFrame):
            self._show()
        if isinstance(frame, ServiceUpdateSettingsFrame) and isinstance(
            frame.delta, TalkersVideoSettings
        ):
            await self._update_settings(frame.delta)
        if self._must_wait(frame, direction):
            assert self._answers is not None
            self._held.append((self._answers.pushed, frame))
        else:
            await self.push_frame(frame, direction)

    def _must_wait(self, frame: Frame, direction: FrameDirection) -> bool:
        """Whether a frame comes after sound that is not said yet, or after one that waits."""
        if direction == FrameDirection.UPSTREAM or isinstance(frame, SystemFrame):
            return False
        if frame.pts and not isinstance(frame, TTSStartedFrame | TTSStoppedFrame):
            return False  # the transport shows it at its time
        return self._answers is not None and (self._answers.waiting or bool(self._held))

    async def _say(self, frame: TTSAudioRawFrame, answers: Answers) -> None:
        """Put a block of speech at the end of what is to be said."""
        self._show()
        if not answers.waiting:
            await self.start_ttfb_metrics()
        try:
            await answers.push(frame.audio, frame.sample_rate, frame.num_channels)
        except TalkersError as error:
            await self.push_error(str(error), exception=error)
            return
        self._spoken = frame
        if not frame.interruptible:
            self._kept = answers.pushed

    async def _interrupt(self) -> None:
        """Stop speaking, and forget what came after the sound that is not said."""
        if self._answers is None or self._answers.said < self._kept:
            return
        self._answers.interrupt()
        kept = [frame for _, frame in self._held if not frame.interruptible]
        self._held.clear()
        for frame in kept:
            await self.push_frame(frame)

    def _show(self) -> None:
        """Begin to give pictures, if that has not begun."""
        if self._showing is None and self._answers is not None:
            self._showing = self.create_task(self._give(self._answers))

    async def _give(self, answers: Answers) -> None:
        """Give pictures and sound, until the session ends."""
        try:
            async for moment in answers.moments():
                cuts = answers.cuts
                for frame in self._frames_of(moment):
                    await self.push_frame(frame)
                    if answers.cuts != cuts:  # the rest of it may not be heard any more
                        break
                if len(moment.sound):
                    await self.stop_ttfb_metrics()
        except Exception as error:  # the voice goes on without a face
            self._answers = None
            answers.session.close()
            await self.push_error(str(error), exception=error, force_treat_as_permanent=True)
        while self._held:
            await self.push_frame(self._held.popleft()[1])

    def _frames_of(self, moment: Moment) -> Iterator[Frame]:
        """A picture, its sound, and what waited for that."""
        height, width, _ = moment.picture.shape
        yield OutputImageRawFrame(moment.picture.tobytes(), (width, height), "RGB")
        if len(moment.sound) and self._answers is not None:
            rate = self._answers.session.terms.sound_rate
            sound = TTSAudioRawFrame(moment.sound.tobytes(), rate, 1)
            if self._spoken is not None:
                sound.context_id = self._spoken.context_id
                sound.transport_destination = self._spoken.transport_destination
            sound.interruptible = moment.said > self._kept
            yield sound
        while self._held and self._held[0][0] <= moment.said:
            yield self._held.popleft()[1]

    async def _update_settings(self, delta: ServiceSettings) -> dict[str, Any]:
        """Obey other controls from the next picture on.

        Returns:
            the values before, of what was changed.
        """
        changed: dict[str, Any] = await super()._update_settings(delta)
        if "controls" in changed and self._answers is not None:
            try:
                self._answers.session.set(self._settings.controls or Controls())
            except TalkersError as error:
                await self.push_error(str(error), exception=error)
        return changed

    async def stop(self, frame: EndFrame) -> None:
        """Say what is left, and close the mouth."""
        await super().stop(frame)
        if self._answers is not None and self._showing is not None:
            self._answers.session.finish()
            await self._showing
        await self._end()

    async def cancel(self, frame: CancelFrame) -> None:
        """Stop at once."""
        await super().cancel(frame)
        await self._end()

    async def cleanup(self) -> None:
        """Leave nothing behind, however the pipeline ended."""
        await super().cleanup()
        await self._end()

    async def _end(self) -> None:
        """End the session, and the task that gives its pictures. Once more does no harm."""
        showing, self._showing = self._showing, None
        if self._answers is not None:
            self._answers.session.close()
            self._answers = None
        if showing is not None and not showing.done():
            await self.cancel_task(showing)
