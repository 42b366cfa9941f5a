"""Components by kind and name. What is registered is imported only when it is used.

talkers registers its own components in `talkers.systems.components`. Other packages register
theirs through the entry-point group `talkers.components`: each entry point names a function that
takes no arguments and calls `register`.

>>> register("renderer", "wireframe", "my_package.wireframe:WireframeConfig",
...          "my_package.wireframe:Wireframe")
"""

from __future__ import annotations

import difflib
import importlib
import threading
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Literal, get_args

from talkers.errors import MissingComponent, UsageError, reason

Kind = Literal[
    "renderer",
    "space",
    "motion_model",
    "speech_encoder",
    "expert",
    "metric",
    "stage",
    "recipe",
    "dialogue",
    "language_model",
    "critic",
]
KINDS: tuple[str, ...] = get_args(Kind)
GROUP = "talkers.components"  # of entry points
BUILT_IN = "talkers.systems.components:register_components"


@dataclass(frozen=True)
class Component:
    """A registered component.

    Attributes:
        kind: one of `KINDS`.
        name: what recipes and avatars call it.
        config: "package.module:Class" of its settings, or the class, or None if it has none.
        target: "package.module:Class" of the component itself, or the class.
    """

    kind: Kind
    name: str
    config: str | type | None
    target: str | type

    @property
    def config_class(self) -> type:
        """Its settings' dataclass; imported on first use.

        Raises:
            MissingComponent: it cannot be imported.
        """
        if self.config is None:
            raise UsageError(f"the {self.kind} '{self.name}' has no settings")
        return self._imported(self.config)

    def load(self) -> Any:
        """The component's class or function; imported on first use.

        Raises:
            MissingComponent: it cannot be imported.
        """
        return self._imported(self.target)

    def _imported(self, path: str | type) -> Any:
        if not isinstance(path, str):
            return path
        try:
            return importable(path)
        except (ImportError, AttributeError, ValueError) as error:
            raise MissingComponent(
                f"the {self.kind.replace('_', ' ')} '{self.name}' cannot be imported",
                where=path,
                why=reason(error),
                todo="Install the package that brings it",
            ) from error


_components: dict[tuple[str, str], Component] = {}
_lock = threading.RLock()
_loaded = False


def register(kind: Kind, name: str, config: str | type | None, target: str | type) -> None:
    """Make a component known.

    Args:
        kind: one of `KINDS`.
        name: what recipes call it; letters, digits, `-`, `_` and `.`.
        config: its settings' frozen dataclass, or its path "package.module:Class", or None. The
            settings of a recipe's slot have a field `type` whose default is `name`.
        target: the component's class, or its path.

    Raises:
        UsageError: an unknown kind, or another component has this name.
    """
    if kind not in KINDS:
        todo = f"Use one of {', '.join(KINDS)}"
        raise UsageError(f"there is no kind of component '{kind}'", todo=todo)
    component = Component(kind, name, config, target)
    with _lock:
        if _components.setdefault((kind, name), component) != component:
            raise UsageError(
                f"two components of the kind {kind} are named '{name}'",
                why=f"{_components[kind, name].target} and {target} both want the name",
                todo="Rename one of them, or uninstall the package that brings it",
            )


def importable(path: str) -> Any:
    """The object that "package.module:name" names.

    Raises:
        ImportError, AttributeError: there is none. ValueError: the path is not of this form.
    """
    module, colon, name = path.partition(":")
    if not colon or not module or not name:
        raise ValueError(f"'{path}' is not of the form package.module:name")
    return getattr(importlib.import_module(module), name)


def load_plugins() -> None:
    """Register talkers' own components and those of installed packages, once.

    Raises:
        MissingComponent: an installed package's registration fails.
    """
    global _loaded
    with _lock:
        if _loaded:
            return
        importable(BUILT_IN)()
        for entry in entry_points(group=GROUP):
            try:
                entry.load()()
            except UsageError:
                raise
            except Exception as error:
                raise MissingComponent(
                    f"the plug-in '{entry.name}' cannot be registered",
                    where=entry.value,
                    why=f"{type(error).__name__}: {reason(error)}",
                    todo="Repair or uninstall the package that brings it",
                ) from error
        _loaded = True


def names(kind: Kind) -> list[str]:
    """Names of the registered components of a kind, sorted."""
    load_plugins()
    return sorted(name for of, name in _components if of == kind)


def component(kind: Kind, name: str) -> Component:
    """A registered component.

    Raises:
        MissingComponent: there is none of that name; says which there are.
    """
    load_plugins()
    found = _components.get((kind, name))
    if found is None:
        known = names(kind)
        near = difflib.get_close_matches(name, known, 1, 0.6)
        hint = f"Did you mean '{near[0]}'? " if near else ""
        raise MissingComponent(
            f"there is no {kind.replace('_', ' ')} '{name}'",
            todo=f"{hint}Known here: {', '.join(known) or 'none'}; a plug-in may have to be "
            "installed",
        )
    return found
