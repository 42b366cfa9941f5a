"""The only door for foreign bytes, in and out: probe, decode, encode, audio.

Files are opened in a child process of few rights (see `talkers.media.guard`), and passed to FFmpeg
(PyAV) as byte streams, so that no file name is ever taken for a protocol, option or command.
"""

from talkers.media.audio import audio_blocks, audio_duration, read_audio
from talkers.media.decode import decode_frames
from talkers.media.encode import VideoWriter, frame_count, write_flac, write_png
from talkers.media.forms import check_output
from talkers.media.photo import read_photo
from talkers.media.probe import (
    VIDEO_SUFFIXES,
    AudioInfo,
    MediaInfo,
    VideoInfo,
    probe,
    require_footage,
)
from talkers.media.samples import AUDIO_RATE, SampleStream, as_samples

__all__ = [
    "AUDIO_RATE",
    "VIDEO_SUFFIXES",
    "AudioInfo",
    "MediaInfo",
    "SampleStream",
    "VideoInfo",
    "VideoWriter",
    "as_samples",
    "audio_blocks",
    "audio_duration",
    "check_output",
    "decode_frames",
    "frame_count",
    "probe",
    "read_audio",
    "read_photo",
    "require_footage",
    "write_flac",
    "write_png",
]
