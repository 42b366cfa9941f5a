"""What a user asks of an avatar while it speaks, resolved to tracks over time."""

from talkers.controls.pose_files import ANGLES, Curves
from talkers.controls.request import OPENINGS, Controls

__all__ = ["ANGLES", "OPENINGS", "Controls", "Curves"]
