"""What every speech encoder promises; see `talkers.speech.contract`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from talkers.errors import MissingComponent
from talkers.speech import (
    FEATURE_RATE,
    SpeechConfig,
    SpeechEncoder,
    StreamingEncoder,
    can_stream,
    feature_stream,
    features_of,
    load_speech_encoder,
)


class SpeechEncoderContract:
    """Inherit it, and give a fixture `speech`: which features of which encoder."""

    @pytest.fixture
    def encoder(self, speech: SpeechConfig) -> SpeechEncoder:
        """The encoder; skipped where its weights are not on this machine."""
        try:
            return load_speech_encoder(speech)
        except MissingComponent as error:
            pytest.skip(f"the encoder's weights are not here: {error}")

    @pytest.fixture
    def samples(self) -> NDArray[np.float32]:
        """Five seconds of noise."""
        noise: NDArray[np.float64] = np.random.default_rng(0).normal(0, 0.1, 80_000)
        return noise.astype(np.float32)

    def test_encoder_gives_so_many_features_a_second(
        self, encoder: SpeechEncoder, samples: NDArray[np.float32]
    ) -> None:
        assert isinstance(encoder, SpeechEncoder)
        assert encoder.rate == FEATURE_RATE
        features = features_of(encoder, samples)
        assert features.shape == (5 * FEATURE_RATE, encoder.width)
        assert features.isfinite().all()

    def test_encoder_batch_equals_its_parts(self, encoder: SpeechEncoder) -> None:
        noise = np.random.default_rng(1).normal(0, 0.1, (2, 64_000))
        windows = torch.from_numpy(noise.astype(np.float32))
        apart = torch.cat([encoder.encode(window[None]) for window in windows])
        assert torch.allclose(encoder.encode(windows), apart, atol=2e-3)

    def test_features_do_not_depend_on_how_sound_is_cut(
        self, encoder: SpeechEncoder, samples: NDArray[np.float32]
    ) -> None:
        blocks = np.split(samples, [1, 700, 33_000])
        cut = torch.cat(list(feature_stream(encoder, blocks)))
        assert torch.allclose(features_of(encoder, samples), cut, atol=2e-3)

    def test_streamed_features_do_not_depend_on_how_sound_is_cut(
        self, speech: SpeechConfig, encoder: SpeechEncoder, samples: NDArray[np.float32]
    ) -> None:
        if not can_stream(speech):
            pytest.skip("this encoder does not stream")
        assert isinstance(encoder, StreamingEncoder)
        stream = encoder.start()
        whole = encoder.start().step(samples)
        cut = torch.cat([stream.step(block) for block in np.split(samples, [1, 700, 33_000])])
        assert torch.allclose(whole, cut, atol=1e-4)
        late = 5 - encoder.lookahead - 1 / FEATURE_RATE  # seconds whose features must have come
        assert len(whole) >= int(late * FEATURE_RATE)
