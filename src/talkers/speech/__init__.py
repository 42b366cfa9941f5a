"""Speech: waveform -> features at a known rate, and where it is silent."""

from talkers.speech.activity import LEVEL_RATE, LiveActivity, loudness, loudness_of, moving_share, speech_activity
from talkers.speech.config import FEATURE_RATE, SpeechConfig
from talkers.speech.encoders import load_speech_encoder
from talkers.speech.listener import Hearing, Listener, ListenerConfig
from talkers.speech.windows import TARGET_DB, SpeechEncoder, feature_stream, features_of, speech_gain

__all__ = [
    "FEATURE_RATE",
    "LEVEL_RATE",
    "TARGET_DB",
    "Hearing",
    "Listener",
    "ListenerConfig",
    "LiveActivity",
    "SpeechConfig",
    "SpeechEncoder",
    "feature_stream",
    "features_of",
    "load_speech_encoder",
    "loudness",
    "loudness_of",
    "moving_share",
    "speech_activity",
    "speech_gain",
]
