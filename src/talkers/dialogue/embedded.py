"""The embedded language model, SmolLM2-135M-Instruct (Ben Allal et al. 2025): small enough for one
core, and of little knowledge. It speaks English."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from talkers.artefacts.pretrained import fetch
from talkers.dialogue.contract import Likelihood, Message, Sampling
from talkers.dialogue.gguf import ModelFile, read_gguf
from talkers.dialogue.llama import Cache, Llama
from talkers.errors import ArtefactError, missing, reason

NAME = "smollm2-135m-instruct"
CONTROL = 3  # the type of a token that is no text
END = "<|im_end|>"
PENALTY = 1.15  # of a token that the answer has already
MAX_PROMPT = 2_000  # tokens: older ones of a long talk are left out
UNFINISHED = "\N{REPLACEMENT CHARACTER}"  # what a part of a letter's bytes is decoded to


class EmbeddedModel:
    """See above. Safe from several threads.

    Args:
        path: its GGUF file.
        small: hold the weights in 16 bits; see `Llama`.

    Raises:
        MissingComponent: the package that cuts text into tokens is not installed.
        ArtefactError: the file is no such model.
    """

    name = NAME

    def __init__(self, path: Path, small: bool = True):
        file = read_gguf(path)
        self._tokenizer = _tokenizer(file, path)
        self._network = Llama(file, small)
        self._end = int(file.about["tokenizer.ggml.eos_token_id"])
        self._read: tuple[list[int], Cache] = ([], [])  # the last prompt

    def write(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[str]:
        """See `LanguageModel`."""
        written = ""
        for (text,) in self._grow(messages, sampling, 1):
            if text.endswith(UNFINISHED):
                continue
            if piece := text[len(written) :]:
                yield piece
            written = text

    def candidates(self, messages: Sequence[Message], sampling: Sampling, count: int) -> list[str]:
        """See `LanguageModel`. All are written side by side: four cost little more than one."""
        texts = [""] * count
        for grown in self._grow(messages, sampling, count):
            texts = grown
        return [text.replace(UNFINISHED, "") for text in texts]

    def likelihoods(self, messages: Sequence[Message], texts: Sequence[str]) -> list[Likelihood]:
        """See `ScoringModel`."""
        if not texts:
            return []
        logits, cache = self._prompt(messages)
        rows = [[*self._tokens(text), self._end] for text in texts]
        longest = max(map(len, rows))
        # shorter ones are filled up at the end, which nothing before it sees
        tokens = torch.tensor([row + [self._end] * (longest - len(row)) for row in rows])
        shared = [
            (k.expand(len(rows), -1, -1, -1), v.expand(len(rows), -1, -1, -1)) for k, v in cache
        ]
        after, _ = self._network(tokens, shared, every=True)
        all_logits = torch.cat([logits.expand(len(rows), -1, -1), after[:, :-1]], 1)
        chosen = F.log_softmax(all_logits, -1).gather(-1, tokens[..., None])[..., 0]  # [B, T]
        return [
            Likelihood(float(chosen[k, : len(row)].sum()), len(row)) for k, row in enumerate(rows)
        ]

    def _grow(
        self, messages: Sequence[Message], sampling: Sampling, count: int
    ) -> Iterator[list[str]]:
        """Answers that grow by a token each time."""
        logits, cache = self._prompt(messages)
        random = torch.Generator().manual_seed(sampling.seed)
        logits = logits.expand(count, -1, -1)
        cache = [(k.expand(count, -1, -1, -1), v.expand(count, -1, -1, -1)) for k, v in cache]
        rows: list[list[int]] = [[] for _ in range(count)]
        over = [False] * count
        for _ in range(sampling.max_tokens):
            tokens = _drawn(_penalised(logits[:, -1], rows), sampling, random)
            for k, token in enumerate(tokens.tolist()):
                over[k] = over[k] or token == self._end
                if not over[k]:
                    rows[k].append(token)
            if all(over):
                break
            yield [self._tokenizer.decode(row) for row in rows]
            logits, cache = self._network(tokens[:, None], cache)

    def _prompt(self, messages: Sequence[Message]) -> tuple[Tensor, Cache]:
        """Logits after the messages, and the cache: what the last prompt began with is kept."""
        tokens = self._encoded(messages)
        before, cache = self._read
        same = 0
        while same < min(len(before), len(tokens) - 1) and before[same] == tokens[same]:
            same += 1
        kept = [(k[:, :, :same], v[:, :, :same]) for k, v in cache] if same else []
        logits, cache = self._network(torch.tensor([tokens[same:]]), kept)
        self._read = tokens, cache
        return logits, cache

    def _encoded(self, messages: Sequence[Message]) -> list[int]:
        """The messages as the model was taught to read them. The oldest turns are left out where
        there are too many."""
        parts = [
            self._special("<|im_start|>")
            + self._tokens(f"{message.role}\n{message.content}")
            + [self._end]
            + self._tokens("\n")
            for message in messages
        ]
        ending = self._special("<|im_start|>") + self._tokens("assistant\n")
        first = 1 if messages and messages[0].role == "system" else 0
        while sum(map(len, parts)) > MAX_PROMPT and len(parts) > first + 1:
            del parts[first]
        tokens = [token for part in parts for token in part]
        return tokens[: MAX_PROMPT * 2] + ending

    def _special(self, name: str) -> list[int]:
        return [int(self._tokenizer.token_to_id(name))]

    def _tokens(self, text: str) -> list[int]:
        """Of a text: what looks like a control token in it is text too."""
        return list(self._tokenizer.encode(text.replace("<|", "< |")).ids)


def _penalised(logits: Tensor, rows: list[list[int]]) -> Tensor:
    """Logits [B, tokens] with those lowered that an answer has already: small models repeat
    themselves (Keskar et al. 2019, section 4.1)."""
    logits = logits.clone()
    for row, said in zip(logits, rows, strict=True):
        if said:
            known = torch.tensor(sorted(set(said)))
            values = row[known]
            row[known] = torch.where(values > 0, values / PENALTY, values * PENALTY)
    return logits


def _drawn(logits: Tensor, sampling: Sampling, random: torch.Generator) -> Tensor:
    """A token for each row of logits [B, tokens]: [B]."""
    if sampling.temperature == 0:
        return logits.argmax(-1)
    shares, order = F.softmax(logits / sampling.temperature, -1).sort(-1, descending=True)
    shares = torch.where(shares.cumsum(-1) - shares < sampling.top_p, shares, 0.0)
    return order.gather(-1, torch.multinomial(shares, 1, generator=random))[:, 0]


def _tokenizer(file: ModelFile, path: Path) -> Any:
    """Byte-level pairs as the file lists them; digits stand alone."""
    try:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    except ImportError as error:
        raise missing("the embedded language model", "chat", error) from error
    try:
        about = file.about
        names: list[str] = about["tokenizer.ggml.tokens"]
        pairs = [tuple(pair.split(" ")) for pair in about["tokenizer.ggml.merges"]]
        words = {name: k for k, name in enumerate(names)}
        tokenizer = Tokenizer(models.BPE(vocab=words, merges=pairs))
        kinds = about["tokenizer.ggml.token_type"]
        tokenizer.add_special_tokens([n for n, k in zip(names, kinds, strict=True) if k == CONTROL])
        if tokenizer.token_to_id("<|im_start|>") is None:
            raise ValueError("it does not know messages")
    except Exception as error:  # whatever the tokenizer's own errors are
        raise ArtefactError(
            "the words of this model cannot be read", where=path, why=reason(error)
        ) from error
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [digits, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@lru_cache(maxsize=1)
def load_embedded() -> EmbeddedModel:
    """The embedded model, loaded once; it is fetched on first use.

    Raises:
        MissingComponent: it cannot be had.
    """
    return EmbeddedModel(fetch(NAME))
