"""Language models: the embedded one's arithmetic beside transformers', and endpoints beside a real server."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from talkers.artefacts import pretrained
from talkers.dialogue.contract import Message, Sampling
from talkers.dialogue.embedded import NAME, EmbeddedModel
from talkers.dialogue.endpoint import Endpoint
from talkers.dialogue.gguf import ModelFile, read_gguf
from talkers.dialogue.llama import Llama
from talkers.errors import ArtefactError, MissingComponent, UsageError

HEADS, GROUPS, WIDTH, INNER, BLOCKS = 4, 2, 32, 64, 2
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def letters() -> list[str]:
    """GPT-2's letter for each byte."""
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def tiny_weights() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(3)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=random) * 0.2

    tokens = len(SPECIAL) + len(letters()) + 1
    weights = {"token_embd.weight": draw(tokens, WIDTH), "output_norm.weight": 1 + draw(WIDTH)}
    side = WIDTH // HEADS * GROUPS
    for k in range(BLOCKS):
        shapes = {
            "attn_q": (WIDTH, WIDTH),
            "attn_k": (side, WIDTH),
            "attn_v": (side, WIDTH),
            "attn_output": (WIDTH, WIDTH),
            "ffn_gate": (INNER, WIDTH),
            "ffn_up": (INNER, WIDTH),
            "ffn_down": (WIDTH, INNER),
        }
        weights |= {f"blk.{k}.{name}.weight": draw(*shape) for name, shape in shapes.items()}
        weights |= {f"blk.{k}.{n}.weight": 1 + draw(WIDTH) for n in ("attn_norm", "ffn_norm")}
    return weights


def tiny_about() -> dict[str, Any]:
    names = [*SPECIAL, *letters(), "en"]
    return {
        "general.architecture": "llama",
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": GROUPS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.context_length": 256,
        "llama.rope.freq_base": 10_000.0,
        "llama.block_count": BLOCKS,
        "tokenizer.ggml.tokens": names,
        "tokenizer.ggml.token_type": [3] * len(SPECIAL) + [1] * (len(letters()) + 1),
        "tokenizer.ggml.merges": ["e n"],
        "tokenizer.ggml.eos_token_id": 2,
    }


def write_gguf(path: Path) -> Path:
    """The tiny model, by the format's own library."""
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    for key, value in tiny_about().items():
        if key == "general.architecture":
            continue
        if isinstance(value, list):
            writer.add_array(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        else:
            writer.add_uint32(key, value)
    for name, weight in tiny_weights().items():
        kind = gguf.GGMLQuantizationType.Q8_0 if "ffn_up" in name else None
        values = weight.numpy()
        if kind is not None:
            values = gguf.quantize(values, kind)
        writer.add_tensor(name, values, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def permuted(weight: torch.Tensor) -> torch.Tensor:
    """Rows of queries and keys as GGUF has them -> as transformers has them."""
    each = WIDTH // HEADS
    return weight.view(-1, each // 2, 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def test_the_network_is_the_one_of_transformers() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    weights = tiny_weights()
    config = LlamaConfig(
        vocab_size=len(weights["token_embd.weight"]),
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=BLOCKS,
        num_attention_heads=HEADS,
        num_key_value_heads=GROUPS,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
    )
    theirs = LlamaForCausalLM(config).eval()
    names = {
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
    }
    state = {
        "model.embed_tokens.weight": weights["token_embd.weight"],
        "lm_head.weight": weights["token_embd.weight"],
        "model.norm.weight": weights["output_norm.weight"],
    }
    for name, weight in weights.items():
        if name.startswith("blk."):
            _, block, part, _ = name.split(".")
            value = permuted(weight) if part in ("attn_q", "attn_k") else weight
            state[f"model.layers.{block}.{names[part]}.weight"] = value
    theirs.load_state_dict(state)
    tokens = torch.randint(3, 200, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = theirs(tokens).logits
    ours = Llama(ModelFile(tiny_about(), weights), small=False)
    whole, _ = ours(tokens, [], every=True)
    assert torch.allclose(whole, expected, atol=2e-4)
    first, cache = ours(tokens[:, :5], [])  # in two parts, with the cache
    second, _ = ours(tokens[:, 5:], cache)
    assert torch.allclose(first[:, 0], expected[:, 4], atol=2e-4)
    assert torch.allclose(second[:, 0], expected[:, -1], atol=2e-4)


def test_a_file_is_read_as_it_was_written(tiny_file: Path) -> None:
    about, weights = read_gguf(tiny_file)
    assert about["llama.block_count"] == BLOCKS
    assert about["tokenizer.ggml.tokens"][:3] == SPECIAL
    for name, weight in tiny_weights().items():
        exact = 0.01 if "ffn_up" in name else 0.0
        assert (weights[name] - weight).abs().max() <= exact, name


def test_the_four_bits_are_those_of_the_format(tmp_path: Path) -> None:
    import gguf

    values = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)
    packed = gguf.quantize(values, gguf.GGMLQuantizationType.Q4_1)
    writer = gguf.GGUFWriter(tmp_path / "q.gguf", "llama")
    writer.add_tensor("w", packed, raw_dtype=gguf.GGMLQuantizationType.Q4_1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    expected = gguf.dequantize(packed, gguf.GGMLQuantizationType.Q4_1)
    assert np.allclose(read_gguf(tmp_path / "q.gguf").weights["w"], expected, atol=1e-6)


@pytest.mark.parametrize("damage", ["cut", "kind", "length", "nothing"])
def test_damaged_files_are_refused(tiny_file: Path, tmp_path: Path, damage: str) -> None:
    content = bytearray(tiny_file.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "kind":
        content[:4] = b"GGML"
    elif damage == "length":
        content[24:32] = struct.pack("<Q", 1 << 60)
    else:
        content = bytearray()
    (tmp_path / "bad.gguf").write_bytes(content)
    with pytest.raises(ArtefactError, match="not a readable GGUF"):
        read_gguf(tmp_path / "bad.gguf")


def test_the_embedded_model_repeats_itself_by_its_seed(tiny_file: Path) -> None:
    model = EmbeddedModel(tiny_file, small=False)
    ask = [Message("system", "You are Ada."), Message("user", "Hi <|im_end|> é")]
    sampling = Sampling(temperature=1.0, max_tokens=12, seed=5)
    said = "".join(model.write(ask, sampling))
    assert said
    assert said == "".join(model.write(ask, sampling))
    assert said != "".join(model.write(ask, Sampling(temperature=1.0, max_tokens=12, seed=6)))
    four = model.candidates(ask, sampling, 4)
    assert len(set(four)) > 1
    # the end of a message in a user's text does not end it
    assert model._encoded(ask).count(2) == 2


def test_likelihoods_are_those_of_one_text_at_a_time(tiny_file: Path) -> None:
    model = EmbeddedModel(tiny_file, small=False)
    ask = [Message("user", "Hi.")]
    both = model.likelihoods(ask, ["Yes.", "A green answer."])
    single = [model.likelihoods(ask, [text])[0] for text in ("Yes.", "A green answer.")]
    assert [a.tokens for a in both] == [5, 15]
    assert np.allclose([a.total for a in both], [a.total for a in single], atol=1e-3)


@pytest.mark.skipif(pretrained.locate(NAME) is None, reason=f"{NAME} is not on this machine")
def test_the_real_model_answers() -> None:
    from talkers.dialogue.embedded import load_embedded

    ask = [Message("user", "What is the capital of France?")]
    assert "Paris" in "".join(load_embedded().write(ask, Sampling(0.0, max_tokens=12)))


# Endpoints


class Server(BaseHTTPRequestHandler):
    """Answers as OpenAI's API does; what was asked is kept."""

    asked: list[dict[str, Any]] = []
    keys: list[str | None] = []
    answer: bytes = b""
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append(json.loads(body) | {"path": self.path})
        self.keys.append(self.headers["Authorization"])
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_: Any) -> None:
        pass


def event(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n"


@pytest.fixture
def server() -> Iterator[tuple[type[Server], str]]:
    handler = type("Fresh", (Server,), {"asked": [], "keys": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield handler, f"http://127.0.0.1:{http.server_port}/v1"
        http.shutdown()


ASK = [Message("system", "Be kind."), Message("user", "Hi.")]


def test_an_endpoint_streams(
    server: tuple[type[Server], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, address = server
    monkeypatch.setenv("TALKERS_LLM_KEY", "secret")
    handler.answer = event("Hel") + b": ping\n\n" + event("lo.") + b"data: [DONE]\n\n"
    pieces = list(Endpoint(address, "small").write(ASK, Sampling(seed=4)))
    assert pieces == ["Hel", "lo."]
    (asked,) = handler.asked
    assert asked["path"] == "/v1/chat/completions"
    assert asked["messages"][1] == {"role": "user", "content": "Hi."}
    assert (asked["model"], asked["seed"], asked["stream"]) == ("small", 4, True)
    assert handler.keys == ["Bearer secret"]


@pytest.mark.parametrize(
    ("status", "answer", "complaint"),
    [
        (401, b"{}", "TALKERS_LLM_KEY"),
        (404, b'{"error": {"message": "no such model"}}', "no such model"),
        (500, b"<html>", "the server says 500"),
        (200, b"data: {nonsense\n\n", "another language"),
        (200, b'data: {"error": "too busy"}\n\n', "too busy"),
        (200, b'data: ["a"]\n\n', "another language"),
    ],
)
def test_what_an_endpoint_refuses_is_a_sentence(
    server: tuple[type[Server], str], status: int, answer: bytes, complaint: str
) -> None:
    handler, address = server
    handler.status, handler.answer = status, answer
    with pytest.raises(MissingComponent, match=complaint):
        list(Endpoint(address, "small").write(ASK, Sampling()))


def test_no_endpoint_at_an_address() -> None:
    with pytest.raises(MissingComponent, match=r"no language model at this address.*refused"):
        list(Endpoint("http://127.0.0.1:9/v1", "x").write(ASK, Sampling()))
    for wrong in ("localhost:11434", "ftp://a/b", "http://", "http://a b/v1", "http://a:x/"):
        with pytest.raises(UsageError, match="no address"):
            Endpoint(wrong, "x")
