"""Frozen judges of a talking face, used as metrics or as losses: is it in sync, and can its lips be
read?"""

from talkers.experts.contract import Expert, ExpertClip
from talkers.experts.load import load_expert, people_folder
from talkers.experts.models import ExpertConfig, LipReader, SyncExpert
from talkers.experts.mouths import Mouths, mouths_of

__all__ = [
    "Expert",
    "ExpertClip",
    "ExpertConfig",
    "LipReader",
    "Mouths",
    "SyncExpert",
    "load_expert",
    "mouths_of",
    "people_folder",
]
