"""A Llama language model (Touvron et al. 2023; grouped queries as in Llama 2) on the CPU.

RMSNorm, rotary positions, grouped-query attention and SwiGLU. Its weights are 16 bits wide: a token
waits for memory, not for sums.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from talkers.dialogue.gguf import ModelFile
from talkers.errors import ArtefactError

Linear = Callable[[Tensor], Tensor]
FEW_ROWS = 4
Cache = list[tuple[Tensor, Tensor]]  # keys and values [B, groups, T, width] of each block


class _Block(NamedTuple):
    before: Tensor  # gain of the norm before attention
    queries_keys_values: Linear
    out: Linear
    between: Tensor  # gain of the norm before the feed-forward part
    gate_up: Linear
    down: Linear


class Llama:
    """Tokens -> logits of the next ones.

    Args:
        file: a GGUF file of the architecture `llama`.
        small: hold the weights in 16 bits, not in 32.

    Raises:
        ArtefactError: it is of another architecture, or something is missing.
    """

    def __init__(self, file: ModelFile, small: bool = True):
        about, weights = file
        try:
            if about["general.architecture"] != "llama":
                raise ValueError(f"it is a '{about['general.architecture']}'")
            self._heads = int(about["llama.attention.head_count"])
            self._groups = int(about["llama.attention.head_count_kv"])
            self._epsilon = float(about["llama.attention.layer_norm_rms_epsilon"])
            self.context = int(about["llama.context_length"])
            base = float(about["llama.rope.freq_base"])
            linear = _small_linear if small else _linear
            self._embedding = weights["token_embd.weight"]  # [tokens, width]
            self._blocks = [
                _Block(
                    weights[f"blk.{k}.attn_norm.weight"],
                    linear(_rows(weights, k, "attn_q", "attn_k", "attn_v")),
                    linear(weights[f"blk.{k}.attn_output.weight"]),
                    weights[f"blk.{k}.ffn_norm.weight"],
                    linear(_rows(weights, k, "ffn_gate", "ffn_up")),
                    linear(weights[f"blk.{k}.ffn_down.weight"]),
                )
                for k in range(int(about["llama.block_count"]))
            ]
            self._norm = weights["output_norm.weight"]
            self._head = linear(weights.get("output.weight", self._embedding))
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise ArtefactError(
                "this model cannot be run", why=str(error), todo="Use another, through --llm"
            ) from error
        self._width = self._embedding.shape[1] // self._heads  # of a head
        self._speeds = base ** (-torch.arange(0, self._width, 2) / self._width)

    @torch.inference_mode()
    def __call__(self, tokens: Tensor, cache: Cache, every: bool = False) -> tuple[Tensor, Cache]:
        """Read tokens.

        Args:
            tokens: int64 [B, T].
            cache: of the tokens before; empty at the beginning. It is left as it is.
            every: tell the logits after each token, not only after the last.

        Returns:
            logits [B, T or 1, tokens], and the cache with these tokens.
        """
        count, length = tokens.shape
        begun = cache[0][0].shape[2] if cache else 0
        # a token sees those before it and itself
        seen = torch.ones(length, begun + length, dtype=torch.bool).tril(begun)
        angles = torch.arange(begun, begun + length)[:, None] * self._speeds
        cosine, sine = angles.cos(), angles.sin()
        x, grown = self._embedding[tokens], Cache()
        for k, block in enumerate(self._blocks):
            rows = block.queries_keys_values(self._normed(x, block.before))
            rows = rows.view(count, length, -1, self._width).transpose(1, 2)
            sizes = [self._heads, self._groups, self._groups]
            queries, keys, values = torch.split(rows, sizes, 1)
            queries, keys = _turned(queries, cosine, sine), _turned(keys, cosine, sine)
            if cache:
                keys = torch.cat([cache[k][0], keys], 2)
                values = torch.cat([cache[k][1], values], 2)
            grown.append((keys, values))
            mixed = F.scaled_dot_product_attention(
                queries, keys, values, attn_mask=seen, enable_gqa=True
            )
            x = x + block.out(mixed.transpose(1, 2).reshape(count, length, -1))
            gate, up = block.gate_up(self._normed(x, block.between)).chunk(2, -1)
            x = x + block.down(F.silu(gate) * up)
        last = x if every else x[:, -1:]
        return self._head(self._normed(last, self._norm)), grown

    def _normed(self, x: Tensor, gain: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), gain, self._epsilon)


def _rows(weights: dict[str, Tensor], block: int, *names: str) -> Tensor:
    """Weights that are multiplied with the same vector, as one matrix."""
    return torch.cat([weights[f"blk.{block}.{name}.weight"] for name in names])


def _turned(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions of [B, heads, T, width]. GGUF's order has the pairs side by side."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], -1).flatten(-2)


def _linear(weight: Tensor) -> Linear:
    return lambda x: F.linear(x, weight)


def _small_linear(weight: Tensor) -> Linear:
    """Multiply with weights of 16 bits: what they lose is far below what the file lost.

    A few rows are multiplied as they are, in half the time; for many it is faster to widen the
    weights first.
    """
    half = weight.half()

    def linear(x: Tensor) -> Tensor:
        if x.numel() // x.shape[-1] <= FEW_ROWS:
            return F.linear(x.half(), half).float()
        return F.linear(x, half.float())

    return linear
