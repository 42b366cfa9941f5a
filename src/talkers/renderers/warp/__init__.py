"""A picture of a face, moved by its key points, with networks that paint what it hides."""

from talkers.renderers.warp.renderer import WarpConfig, WarpRenderer

__all__ = ["WarpConfig", "WarpRenderer"]
