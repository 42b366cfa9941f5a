"""A language model behind an OpenAI-compatible address: Ollama, llama.cpp, vLLM, or a vendor's.

Answers stream as server-sent events. No vendor's package is needed.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from talkers.dialogue.contract import Message, Sampling
from talkers.errors import MissingComponent, TalkersError, UsageError, reason

KEY = "TALKERS_LLM_KEY"  # the environment variable that holds a key
TIMEOUT = 60  # seconds that the server may be silent
MAX_LINE = 1_000_000  # bytes of an event
MAX_ANSWER = 100_000  # characters


class Endpoint:
    """See above. Safe from several threads.

    Args:
        address: of the API, such as http://localhost:11434/v1.
        model: its name there.

    Raises:
        UsageError: the address is none.
    """

    def __init__(self, address: str, model: str):
        try:
            parts = urlsplit(address)
            whole = parts.scheme in ("http", "https") and bool(parts.hostname)
            _ = parts.port  # refuses what is no number
        except ValueError:
            whole = False
        if not whole or any(c.isspace() or not c.isprintable() for c in address):
            raise UsageError(
                f"'{address}' is no address of a language model",
                todo="Write it as http://localhost:11434/v1",
            )
        if not model:
            raise UsageError(
                "no model was named", where=address, todo="Name one of the server's with --model"
            )
        self.name, self._model = f"{model} at {parts.netloc.rpartition('@')[2]}", model
        self._address = address.rstrip("/").removesuffix("/chat/completions")

    def write(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[str]:
        """See `LanguageModel`."""
        length = 0
        with closing(self._post(messages, sampling)) as response:
            for line in _lines(response, self._address):
                if not line.startswith(b"data:"):
                    continue
                data = line[5:].strip()
                if data == b"[DONE]":
                    return
                piece = self._piece(data)
                length += len(piece)
                if length > MAX_ANSWER:
                    return
                if piece:
                    yield piece

    def candidates(self, messages: Sequence[Message], sampling: Sampling, count: int) -> list[str]:
        """See `LanguageModel`; one request after the other."""
        drawn = [
            Sampling(sampling.temperature, sampling.top_p, sampling.max_tokens, sampling.seed + k)
            for k in range(count)
        ]
        return ["".join(self.write(messages, one)) for one in drawn]

    def _post(self, messages: Sequence[Message], sampling: Sampling) -> Any:
        body = {
            "model": self._model,
            "messages": [message._asdict() for message in messages],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": sampling.seed,
            "stream": True,
        }
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        if key := os.environ.get(KEY, "").strip():
            headers["Authorization"] = f"Bearer {key}"
        url = f"{self._address}/chat/completions"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        try:
            return urllib.request.urlopen(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            raise self._refused(error) from error
        except (OSError, HTTPException, ValueError) as error:
            cause = getattr(error, "reason", error)
            raise _unreachable(self._address, cause) from error

    def _refused(self, error: urllib.error.HTTPError) -> TalkersError:
        """What to tell when the server answers with an error."""
        with closing(error):
            try:
                said = _message(json.loads(error.read(MAX_LINE)))
            except (OSError, ValueError, HTTPException):
                said = ""
        why = f"the server says {error.code}" + (f": {said[:200]}" if said else "")
        if error.code in (401, 403):
            todo = f"Put the key into the environment variable {KEY}"
        elif error.code == 404:
            todo = "Check the address (it ends in /v1 most times) and the name of the model"
        elif error.code == 429:
            todo = "Wait, or ask another server"
        else:
            todo = "Look into the server's log"
        return MissingComponent(
            "the language model does not answer", where=self._address, why=why, todo=todo
        )

    def _piece(self, data: bytes) -> str:
        """The text of an event."""
        try:
            event = json.loads(data)
            if said := _message(event):
                raise MissingComponent(
                    "the language model broke off",
                    where=self._address,
                    why=said[:200],
                    todo="Look into the server's log",
                )
            choices = event.get("choices") or [{}]
            return str(choices[0].get("delta", {}).get("content") or "")
        except (ValueError, AttributeError, TypeError, IndexError, KeyError) as error:
            raise _unreachable(self._address, "it answers in another language") from error


def _message(answer: Any) -> str:
    """What an answer says went wrong; empty: nothing."""
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, dict):
        error = error.get("message") or "an error"
    return " ".join(str(error).split()) if error else ""


def _lines(response: Any, address: str) -> Iterator[bytes]:
    """The lines of an answer as they come."""
    while True:
        try:
            line = response.readline(MAX_LINE)
        except (OSError, HTTPException) as error:
            raise _unreachable(address, error) from error
        if not line:
            return
        yield line


def _unreachable(address: str, cause: Any) -> MissingComponent:
    why = reason(cause) if isinstance(cause, BaseException) else str(cause)
    if isinstance(cause, OSError) and cause.strerror:
        why = cause.strerror.lower()
    return MissingComponent(
        "there is no language model at this address",
        where=address,
        why=why,
        todo="Start the server, or leave --llm out: the embedded model needs none",
    )
