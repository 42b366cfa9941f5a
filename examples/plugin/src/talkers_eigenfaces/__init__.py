"""A plug-in for talkers: small enough to read in ten minutes, and to train in one."""

from __future__ import annotations

from talkers.registry import register


def register_components() -> None:
    """Register what this package brings; talkers calls it by its entry point."""
    here = "talkers_eigenfaces"
    renderer, motion = f"{here}.renderer", f"{here}.motion"
    register(
        "renderer", "eigenfaces", f"{renderer}:EigenfacesConfig", f"{renderer}:EigenfacesRenderer"
    )
    register("motion_model", "recurrent", f"{motion}:RecurrentConfig", f"{motion}:RecurrentMotion")
    register("expert", "loudness_agreement", None, f"{here}.expert:load")
    register("recipe", "eigenfaces", None, f"{here}.recipes:tiny")
