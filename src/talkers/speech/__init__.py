"""Speech: waveform -> features at a known rate, and where it is silent."""

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
from talkers.speech.streaming import EncoderStream, StreamingEncoderConfig, StreamingSpeechEncoder
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
