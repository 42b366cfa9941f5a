"""Faces in frames: landmarks, blendshapes, head pose, a stable crop, and what is wrong with
footage."""

from talkers.face.crop import Crop, choose_crop, paste_back
from talkers.face.landmarks import EYES, LIPS, FaceReading, FaceTracker, mouth_opening

__all__ = [
    "EYES",
    "LIPS",
    "Crop",
    "FaceReading",
    "FaceTracker",
    "choose_crop",
    "mouth_opening",
    "paste_back",
]
