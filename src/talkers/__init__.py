"""talkers: minutes of a person's video -> an avatar that says anything."""

__version__ = "0.1.0"
