"""Speech: waveform -> features at a known rate, and where it is silent."""

from talkers.speech.config import SpeechConfig

__all__ = ["SpeechConfig"]
