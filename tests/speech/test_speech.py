"""speech: the same features however the sound arrives, the same encoders as the libraries', silence known as such."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from talkers.errors import ArtefactError, MissingComponent, UsageError
from talkers.speech import (
    ActivityStream,
    SpeechConfig,
    feature_stream,
    features_of,
    load_speech_encoder,
    loudness,
    loudness_of,
    speech_activity,
    speech_gain,
)
from talkers.speech.ctranslate2 import read_variables
from talkers.speech.encoders import HiddenStates, LogMel
from talkers.speech.mel import log_mel_spectrogram
from talkers.speech.whisper import Whisper, WhisperEncoder
from talkers.speech.windows import ROWS


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).normal(size=int(16_000 * seconds))).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.02, 0.4, 2.0, 3.0, 7.31])
def test_fifty_features_a_second(seconds: float) -> None:
    samples = noise(seconds)
    assert features_of(LogMel(), samples).shape == (-(-len(samples) * 50 // 16_000), 160)


@pytest.mark.parametrize("block", [1, 777, 16_000, 10**6])
def test_features_do_not_depend_on_how_sound_arrives(block: int) -> None:
    samples = noise(2.3 if block == 1 else 21.7)
    whole = features_of(LogMel(), samples)
    parts = torch.cat(
        list(
            feature_stream(
                LogMel(), [samples[i : i + block] for i in range(0, len(samples), block)]
            )
        )
    )
    assert torch.equal(whole, parts)


def test_a_feature_hears_its_own_time() -> None:
    samples = np.zeros(16_000 * 9, np.float32)
    samples[16_000 * 5 : 16_000 * 5 + 800] = noise(0.05)
    energy = features_of(LogMel(), samples).mean(1)
    loud = torch.nonzero(energy > energy.median() + 0.3).flatten()
    assert 248 <= int(loud.min()) <= 250
    assert 252 <= int(loud.max()) <= 253


def test_mel_spectrogram_equals_whispers() -> None:
    from transformers import WhisperFeatureExtractor

    samples = noise(3)
    theirs = torch.from_numpy(
        WhisperFeatureExtractor()(samples, sampling_rate=16_000).input_features[0]
    )
    mel = log_mel_spectrogram(
        torch.nn.functional.pad(torch.from_numpy(samples), (0, 480_000 - len(samples)))[None]
    )[0]
    ours = (torch.maximum(mel, mel.max() - 8) + 4) / 4
    assert torch.allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert"])
def test_wav2vec2_and_hubert_come_through_the_same_class(kind: str) -> None:
    from transformers import HubertConfig, HubertModel, Wav2Vec2Config, Wav2Vec2Model

    small = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4,
    }
    model = (
        Wav2Vec2Model(Wav2Vec2Config(**small))
        if kind == "wav2vec2"
        else HubertModel(HubertConfig(**small))
    )
    encoder = HiddenStates(model, (1, -1))
    assert encoder.width == 64
    assert encoder.encode(torch.randn(2, 64_000)).shape == (2, ROWS, 64)
    assert features_of(encoder, noise(5.5)).shape == (275, 64)
    with pytest.raises(UsageError, match="0 to 2"):
        HiddenStates(model, (7,))


def test_whisper_is_that_of_transformers() -> None:
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder as Theirs

    torch.manual_seed(0)
    config = WhisperConfig(
        d_model=128,
        encoder_layers=3,
        encoder_attention_heads=2,
        encoder_ffn_dim=96,
        max_source_positions=ROWS,
    )
    theirs = Theirs(config).eval()
    for weight in theirs.parameters():
        torch.nn.init.normal_(weight.data, std=0.1)
    state = theirs.state_dict()
    stored = {
        f"{conv}/{kind}": state[f"{conv}.{kind}"]
        for conv in ("conv1", "conv2")
        for kind in ("weight", "bias")
    }
    stored["position_encodings/encodings"] = state["embed_positions.weight"]
    names = {
        "self_attention/linear_1": "self_attn.out_proj",
        "ffn/linear_0": "fc1",
        "ffn/linear_1": "fc2",
    }
    norms = {
        "self_attention/layer_norm": "self_attn_layer_norm",
        "ffn/layer_norm": "final_layer_norm",
    }
    stored |= {
        f"layer_norm/{kind}": state[f"layer_norm.{name}"]
        for kind, name in (("gamma", "weight"), ("beta", "bias"))
    }
    for i in range(3):
        stored |= {
            f"layer_{i}/{new}/{kind}": state[f"layers.{i}.{old}.{kind}"]
            for new, old in names.items()
            for kind in ("weight", "bias")
        }
        for kind, name in (("gamma", "weight"), ("beta", "bias")):
            stored |= {
                f"layer_{i}/{new}/{kind}": state[f"layers.{i}.{old}.{name}"]
                for new, old in norms.items()
            }
        attention = {
            kind: [
                state.get(f"layers.{i}.self_attn.{part}_proj.{kind}", torch.zeros(128))
                for part in "qkv"
            ]
            for kind in ("weight", "bias")
        }
        stored |= {
            f"layer_{i}/self_attention/linear_0/{kind}": torch.cat(parts)
            for kind, parts in attention.items()
        }
    mel = torch.randn(2, 80, 2 * ROWS)
    with torch.inference_mode():
        expected, ours = (
            theirs(mel, output_hidden_states=True).hidden_states,
            WhisperEncoder(stored).eval()(mel),
        )
    assert len(ours) == len(expected) == 4
    for a, b in zip(ours, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-4)
    with pytest.raises(UsageError, match="0 to 3"):
        Whisper(stored, (4,))


def whisper() -> Whisper:
    try:
        return load_speech_encoder(SpeechConfig())  # type: ignore[return-value]
    except MissingComponent as error:
        pytest.skip(f"Whisper's weights are not here: {error}")


def test_whisper_hears_words_and_not_loudness() -> None:
    encoder = whisper()
    assert encoder.width == 1024
    samples = noise(4)
    levels = loudness(samples, 16_000, 25, 100)
    loud = features_of(encoder, samples, speech_gain(levels))
    quiet = features_of(
        encoder, 0.05 * samples, speech_gain(loudness(0.05 * samples, 16_000, 25, 100))
    )
    assert torch.nn.functional.cosine_similarity(loud, quiet).mean() > 0.999
    assert (
        torch.nn.functional.cosine_similarity(loud, features_of(encoder, noise(4, 9))).mean() < 0.99
    )


def test_unknown_encoders_are_named() -> None:
    with pytest.raises(MissingComponent, match="no-such-encoder"):
        load_speech_encoder(SpeechConfig(encoder="./no-such-encoder"))


def test_damaged_models_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    for content in (
        b"",
        b"\x06\0\0\0",
        struct.pack("<I", 5) + bytes(100),
        struct.pack("<IH", 6, 60_000),
        bytes(1000),
    ):
        path.write_bytes(content or b"\0")
        with pytest.raises(ArtefactError, match=r"model\.bin"):
            read_variables(path)


def test_silence_and_speech_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    samples = 0.001 * rng.normal(size=16_000 * 6).astype(np.float32)
    samples[32_000:64_000] += (0.2 * np.sin(np.arange(32_000) * 0.1)).astype(np.float32)
    active = speech_activity(loudness(samples, 16_000, 25, 150))
    assert active[52:98].all()
    assert not active[:47].any()
    assert not active[103:].any()
    assert not speech_activity(loudness(np.zeros(16_000, np.float32), 16_000, 25, 25)).any()
    for frames in range(7):
        assert speech_activity(np.zeros(frames, np.float32)).shape == (frames,)


@pytest.mark.parametrize("rate", [25.0, 29.97, 40.0])
def test_levels_do_not_depend_on_how_sound_arrives(rate: float) -> None:
    rng = np.random.default_rng(3)
    samples = (
        rng.standard_normal(16_000 * 3 + 77) * np.linspace(0.001, 0.5, 16_000 * 3 + 77)
    ).astype(np.float32)
    levels, count = loudness_of([samples], 16_000, rate)
    assert count == len(samples)
    assert len(levels) == -(-len(samples) * rate // 16_000)  # the last one of what is left
    first = samples[: int(16_000 / rate)]
    np.testing.assert_allclose(
        levels[0], 10 * np.log10(np.square(first, dtype=np.float64).mean()), atol=0.05
    )
    for cuts in ([1], [5, 6, 700], list(range(1, len(samples), 641)), [16_000, 16_000, 32_000]):
        again, total = loudness_of(np.split(samples, cuts), 16_000, rate)
        assert total == count
        np.testing.assert_allclose(again, levels, atol=1e-4)
    assert list(loudness_of([], 16_000, rate)[0]) == []


def test_a_stream_tells_speech_from_silence_however_it_is_cut_and_however_loud() -> None:
    rng, rate = np.random.default_rng(5), 16_000
    said = [False, True, False, True, True, False]
    sound = np.concatenate(
        [rng.standard_normal(rate) * (0.1 if s else 0.0004) for s in said]
    ).astype(np.float32)
    usual = None
    for gain, sizes in ((1.0, 96_000), (1.0, 160), (1.0, 777), (0.01, 4_000)):
        live, heard, shares, asked = ActivityStream(rate, -23.0), [], [], 0
        for block in np.array_split(gain * sound, range(sizes, len(sound), sizes)):
            heard.append(live.push(block))
            ready = int((sum(map(len, heard)) / rate - 0.26) * 25)
            shares += [live.share((k + 0.5) / 25) for k in range(asked, ready)]
            asked = max(asked, ready)
        given, moves = np.concatenate(heard), np.array(shares)
        assert len(given) == len(sound)
        assert loudness(given[rate + 1600 : 2 * rate], rate, 10, 9).max() == pytest.approx(
            -23, abs=2
        )
        for second, spoken in enumerate(said[:-1]):
            assert np.allclose(moves[25 * second + 6 : 25 * second + 19], spoken), (
                gain,
                sizes,
                second,
            )
        usual = moves if usual is None else usual
        assert np.array_equal(moves, usual)


def test_an_encoder_brings_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even when somebody answers yes."""
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps(
            {
                "model_type": "evil",
                "auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"},
            }
        )
    )
    (folder / "code.py").write_text(
        f"import os\nos.mkdir({str(tmp_path / 'canary')!r})\nclass Config: pass\nclass Model: pass\n"
    )
    with pytest.raises(MissingComponent):
        load_speech_encoder(SpeechConfig(str(folder), (0,)))
    assert not (tmp_path / "canary").exists()


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingComponent, match=r"transformers.*pip install 'talkers\[encoders\]'"):
        load_speech_encoder(SpeechConfig("facebook/wav2vec2-base-960h", (-1,)))
