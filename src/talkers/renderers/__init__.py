"""Renderers: motion -> frames."""
