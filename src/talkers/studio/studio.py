"""What one studio holds, and how its page's requests become jobs."""

from __future__ import annotations

import html
import importlib.util
from collections.abc import Callable
from functools import wraps
from typing import Any

import gradio as gr

from talkers.runtime.avatar import Avatar
from talkers.server.problem import Problem, problem_of
from talkers.server.service import Service
from talkers.studio.uploads import Uploads
from talkers.studio.visitors import COOKIE, OWN, Visitor, Visitors


class Studio:
    """What one studio holds.

    Args:
        service: avatars, jobs and limits of the server.
        visitors: who comes.
        uploads: what they sent.
    """

    def __init__(self, service: Service, visitors: Visitors, uploads: Uploads):
        self.service, self.visitors, self.uploads = service, visitors, uploads

    def visitor(self, request: gr.Request) -> Visitor:
        """Who asks.

        Raises:
            Refused: the browser has no secret.
        """
        return self.visitors.of(request.cookies.get(COOKIE))

    def avatars(self, visitor: Visitor) -> list[tuple[str, str]]:
        """The avatars in a visitor's menus: what is shown, and their names."""
        own = [(f"{name} (yours)", f"{OWN}{name}") for name in visitor.avatars()]
        return own + [(name, name) for name in self.service.avatars]

    def avatar(self, visitor: Visitor, name: str) -> Avatar:
        """An avatar by its name in the menus.

        Raises:
            TalkersError: there is none.
        """
        if name.startswith(OWN):
            return self.visitors.load(visitor, name.removeprefix(OWN))
        return self.service.avatar(name)[1]


def answering(work: Callable[..., str]) -> Callable[..., str]:
    """A handler of the page whose errors are told as sentences.

    Args:
        work: returns what is said when all is well.
    """

    @wraps(work)
    def answered(*given: Any) -> str:
        try:
            return said(work(*given))
        except Exception as error:
            return problem_html(problem_of(error))

    return answered


def said(text: str) -> str:
    """A sentence, as HTML that is read out; on a phone the work is far below."""
    link = '<a href="#t-work">See your work</a>'
    return f'<p class="t-said" role="status">{html.escape(text)} {link}</p>'


def problem_html(problem: Problem) -> str:
    """A problem, as HTML that is read out."""
    where = f" ({problem.where})" if problem.where else ""
    why = f", because {problem.why}" if problem.why else ""
    what = f"{problem.what[:1].upper()}{problem.what[1:]}{where}{why}."
    todo = "" if not problem.todo else problem.todo + ("" if problem.todo[-1] in ".`" else ".")
    return (
        f'<div class="t-problem" role="alert"><strong>{html.escape(what)}</strong> '
        f"{html.escape(todo)}</div>"
    )


def there(module: str) -> bool:
    """Whether an optional package is installed."""
    return importlib.util.find_spec(module) is not None
