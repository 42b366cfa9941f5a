"""The studio on the real server, and a browser that looks at it."""

from __future__ import annotations

from studio_server import browser, face, page, served, speech

__all__ = ["browser", "face", "page", "served", "speech"]
