"""How good is it? Figures beside controls, from clips or from pairs of videos, in one command."""
