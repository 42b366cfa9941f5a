"""Motion spaces: what travels from a motion model to a renderer, and how it is read and edited."""
