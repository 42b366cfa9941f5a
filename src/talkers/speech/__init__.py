"""Speech: waveform -> features at a known rate, and where it is silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from talkers.speech.activity import (
        LEVEL_RATE,
        ActivityStream,
        loudness,
        loudness_of,
        moving_share,
        speech_activity,
    )
    from talkers.speech.config import FEATURE_RATE, SpeechConfig
    from talkers.speech.contract import FeatureStream, SpeechEncoder, StreamingEncoder
    from talkers.speech.encoders import can_stream, load_speech_encoder
    from talkers.speech.streaming import (
        EncoderStream,
        StreamingEncoderConfig,
        StreamingSpeechEncoder,
    )
    from talkers.speech.windows import (
        TARGET_DB,
        feature_stream,
        features_of,
        recording_features,
        recording_gain,
        speech_gain,
    )

__all__ = [
    "FEATURE_RATE",
    "LEVEL_RATE",
    "TARGET_DB",
    "ActivityStream",
    "EncoderStream",
    "FeatureStream",
    "SpeechConfig",
    "SpeechEncoder",
    "StreamingEncoder",
    "StreamingEncoderConfig",
    "StreamingSpeechEncoder",
    "can_stream",
    "feature_stream",
    "features_of",
    "load_speech_encoder",
    "loudness",
    "loudness_of",
    "moving_share",
    "recording_features",
    "recording_gain",
    "speech_activity",
    "speech_gain",
]

_HOMES = {
    "ActivityStream": "talkers.speech.activity",
    "EncoderStream": "talkers.speech.streaming",
    "FEATURE_RATE": "talkers.speech.config",
    "FeatureStream": "talkers.speech.contract",
    "LEVEL_RATE": "talkers.speech.activity",
    "SpeechConfig": "talkers.speech.config",
    "SpeechEncoder": "talkers.speech.contract",
    "StreamingEncoder": "talkers.speech.contract",
    "StreamingEncoderConfig": "talkers.speech.streaming",
    "StreamingSpeechEncoder": "talkers.speech.streaming",
    "TARGET_DB": "talkers.speech.windows",
    "can_stream": "talkers.speech.encoders",
    "feature_stream": "talkers.speech.windows",
    "features_of": "talkers.speech.windows",
    "load_speech_encoder": "talkers.speech.encoders",
    "loudness": "talkers.speech.activity",
    "loudness_of": "talkers.speech.activity",
    "moving_share": "talkers.speech.activity",
    "recording_features": "talkers.speech.windows",
    "recording_gain": "talkers.speech.windows",
    "speech_activity": "talkers.speech.activity",
    "speech_gain": "talkers.speech.windows",
}


def __getattr__(name: str) -> Any:
    """Names are imported on first use: whoever only asks where it is silent needs no torch."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'talkers.speech' has no attribute '{name}'")
