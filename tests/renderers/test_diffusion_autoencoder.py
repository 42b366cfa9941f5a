"""codec: the paper's networks to the number, the schedule's algebra, and the contract every codec keeps."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from talkers.errors import UsageError
from talkers.renderers.diffusion_autoencoder import (
    DiffusionAutoencoder,
    GraphedDecoder,
    from_frames,
    shared_noise,
    to_frames,
)
from talkers.renderers.diffusion_autoencoder import schedule as s
from talkers.renderers.diffusion_autoencoder.appearance import AppearanceConfig, AppearanceModel
from talkers.renderers.diffusion_autoencoder.samplers import ddim_encode, ddim_sample, step_times
from talkers.renderers.diffusion_autoencoder.unet import ImageEncoder, UNet
from talkers.systems.dae_talker import compact, compact_512, dae_talker, dae_talker_128, tiny


def millions(module: torch.nn.Module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


def test_dae_talker_is_the_papers_network() -> None:
    config = dae_talker().renderer
    with torch.device("meta"):
        unet, encoder = UNet(config.unet, 256, 512), ImageEncoder(config.encoder, 256, 512)
        with FlopCounterMode(display=False) as count:
            unet(torch.zeros(1, 3, 256, 256), torch.zeros(1), torch.zeros(1, 512))
    assert millions(unet) == pytest.approx(138.34, abs=0.01)
    assert millions(encoder) == pytest.approx(30.15, abs=0.01)
    assert count.get_total_flops() / 2e9 == pytest.approx(277.2, abs=0.1)  # GMAC a pass


def test_dae_talker_128_is_the_papers_network() -> None:
    with torch.device("meta"):
        unet = UNet(dae_talker_128().renderer.unet, 128, 512)
        with FlopCounterMode(display=False) as count:
            unet(torch.zeros(1, 3, 128, 128), torch.zeros(1), torch.zeros(1, 512))
    assert count.get_total_flops() / 2e9 == pytest.approx(73.9, abs=0.1)
    assert millions(unet) == pytest.approx(103.87, abs=0.01)


def test_a_training_step_of_the_papers_codec_lowers_its_loss() -> None:
    """The paper's layers, with fewer channels so that a CPU does it in seconds."""
    config = dae_talker_128().renderer
    config = dataclasses.replace(
        config,
        size=32,
        unet=dataclasses.replace(config.unet, channels=32, multipliers=(1, 2), dropout=0.0),
        encoder=dataclasses.replace(
            config.encoder, channels=32, multipliers=(1, 2, 2), dropout=0.0
        ),
    )
    torch.manual_seed(0)
    codec = DiffusionAutoencoder(config)
    optimizer = torch.optim.Adam(codec.parameters(), 1e-3)
    x0, eps = torch.rand(4, 3, 32, 32) * 2 - 1, torch.randn(4, 3, 32, 32)
    t = torch.tensor([50, 300, 600, 999])
    losses = []
    for _ in range(12):
        level = codec.levels[t]
        out = codec.output(s.diffuse(x0, eps, level), t, codec.encode(x0))
        loss = (out - s.target_of("eps", x0, eps, level)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[0] == pytest.approx(1.0, abs=0.1)  # a zero-initialised output against unit noise
    assert losses[-1] < 0.8 * losses[0]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in codec.parameters())


def test_schedule_is_the_linear_one_of_ddpm() -> None:
    levels = s.alpha_bars()
    assert levels[0] == pytest.approx(1 - 1e-4)
    assert levels[-1] == pytest.approx(4.04e-5, rel=0.01)
    assert (levels.diff() < 0).all()


@pytest.mark.parametrize("prediction", ["x0", "eps", "v"])
def test_predictions_lead_back_to_the_picture(prediction: s.Prediction) -> None:
    x0, eps = torch.randn(5, 3, 8, 8), torch.randn(5, 3, 8, 8)
    level = s.alpha_bars()[torch.tensor([0, 10, 300, 700, 900])]
    x_t = s.diffuse(x0, eps, level)
    target = s.target_of(prediction, x0, eps, level)
    assert torch.allclose(s.x0_of(prediction, target, x_t, level), x0, atol=2e-3)
    assert torch.allclose(s.eps_of(x0, x_t, level), eps, atol=2e-3)


def gaussian_denoiser(x: torch.Tensor, t: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
    """The exact denoiser of data ~ N(0, 0.5^2): its DDIM path is known in closed form."""
    a, noise = s.signal_and_noise(s.alpha_bars()[t])
    return a * 0.25 * x / (a**2 * 0.25 + noise**2)


def test_ddim_carries_noise_to_data() -> None:
    x_T = shared_noise(64, 3)
    out = ddim_sample(gaussian_denoiser, x_T, torch.zeros(1, 4), s.alpha_bars(), 200)
    assert out.std() == pytest.approx(0.5, abs=0.03)
    coarse = ddim_sample(gaussian_denoiser, x_T, torch.zeros(1, 4), s.alpha_bars(), 20)
    assert (out - coarse).abs().mean() < 0.05


def test_stochastic_encoding_is_undone_by_sampling() -> None:
    x0 = 0.3 * shared_noise(16, 5).clamp(-2, 2)
    x_T = ddim_encode(gaussian_denoiser, x0, torch.zeros(1, 4), s.alpha_bars(), 250)
    again = ddim_sample(gaussian_denoiser, x_T, torch.zeros(1, 4), s.alpha_bars(), 250)
    assert (again - x0).abs().max() < 0.05
    assert x_T.std() == pytest.approx(0.6, abs=0.15)  # 0.3 / 0.5 of unit noise


def test_steps_begin_at_the_noisiest() -> None:
    assert step_times(1) == [999]
    assert step_times(2) == [999, 499]
    assert len(set(step_times(1000))) == 1000
    for wrong in (0, -1, 1001):
        with pytest.raises(UsageError, match=str(wrong)):
            step_times(wrong)


def test_frames_survive_the_trip_through_floats() -> None:
    frames = torch.randint(0, 256, (2, 8, 8, 3), dtype=torch.uint8)
    assert torch.equal(to_frames(from_frames(frames)), frames)


@pytest.fixture(scope="module", params=["tiny", "compact", "compact_512"])
def codec(request: pytest.FixtureRequest) -> DiffusionAutoencoder:
    torch.manual_seed(1)
    made = DiffusionAutoencoder(
        {"tiny": tiny, "compact": compact, "compact_512": compact_512}[request.param]().renderer
    ).eval()
    with torch.no_grad():  # zero-initialised layers would hide mistakes
        for p in made.parameters():
            p.add_(0.02 * torch.randn_like(p))
    return made


class TestContract:
    """What every codec promises (see `FaceCodec`)."""

    def test_shapes_and_range(self, codec: DiffusionAutoencoder) -> None:
        pictures = torch.rand(2, 3, codec.size, codec.size) * 2 - 1
        with torch.no_grad():
            latents = codec.encode(pictures)
            out = codec.decode(latents, shared_noise(codec.size, 0), 2)
        assert latents.shape == (2, codec.motion_width)
        assert out.shape == pictures.shape
        assert out.abs().max() <= 1

    def test_a_batch_equals_its_parts(self, codec: DiffusionAutoencoder) -> None:
        pictures, noise = (
            torch.rand(3, 3, codec.size, codec.size) * 2 - 1,
            shared_noise(codec.size, 0),
        )
        with torch.no_grad():
            latents = codec.encode(pictures)
            single = torch.cat([codec.encode(p[None]) for p in pictures])
            together = codec.decode(latents, noise, 1)
            apart = torch.cat([codec.decode(c[None], noise, 1) for c in latents])
        assert torch.allclose(latents, single, atol=1e-4)
        assert (together - apart).abs().max() < 1 / 255

    def test_what_is_the_same_in_all_frames_is_convolved_once(
        self, codec: DiffusionAutoencoder
    ) -> None:
        latents, noise = torch.randn(2, codec.motion_width), shared_noise(codec.size, 0)
        with torch.no_grad():
            still = codec.unet.still(noise)
            assert (still is None) == (codec.unet.appearance is None)
            plain = codec.decode(latents, noise, 1)
            assert (codec.decode(latents, noise, 1, still) - plain).abs().max() < 1e-5
            if still is not None:
                other = codec.unet.still(shared_noise(codec.size, 1))
                assert (codec.decode(latents, noise, 1, other) - plain).abs().max() > 1e-4

    def test_the_same_noise_gives_the_same_frames(self, codec: DiffusionAutoencoder) -> None:
        latents = torch.randn(1, codec.motion_width)
        with torch.no_grad():
            a, b, c = (
                codec.decode(latents, shared_noise(codec.size, seed), 1) for seed in (7, 7, 8)
            )
        assert torch.equal(a, b)
        assert not torch.equal(a, c)

    def test_latents_change_the_picture(self, codec: DiffusionAutoencoder) -> None:
        with torch.no_grad():
            out = codec.decode(torch.randn(2, codec.motion_width), shared_noise(codec.size, 0), 1)
        assert (out[0] - out[1]).abs().mean() > 1e-4


def test_appearance_learns_to_mix_and_to_move() -> None:
    torch.manual_seed(0)
    texture = F.interpolate(torch.randn(2, 3, 10, 10), (44, 44), mode="bicubic")[
        ..., 6:38, 6:38
    ].clamp(-1, 1)
    latents = (
        torch.rand(96, 2) * 2 - 1
    )  # how far it is moved to the right, and how much of the second texture is in it
    line = (2 * torch.arange(32) + 1) / 32 - 1
    where = torch.stack(
        torch.broadcast_tensors(
            line[None, None] - 0.15 * latents[:, :1, None], line[None, :, None]
        ),
        -1,
    )
    mixed = texture[:1] + 0.5 * latents[:, 1, None, None, None] * texture[1:]
    pictures = F.grid_sample(mixed, where, padding_mode="border", align_corners=False)
    model = AppearanceModel(AppearanceConfig(2, 4, 32), 32, 2)
    model.set_base_image(pictures[:64].mean(0, keepdim=True))
    assert torch.allclose(
        model(latents[:3]), pictures[:64].mean(0, keepdim=True).expand(3, -1, -1, -1), atol=1e-5
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(300):
        loss = (model(latents[:64]) - pictures[:64]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        unseen = (model(latents[64:]) - pictures[64:]).square().mean()
    still = (pictures[64:] - pictures[:64].mean(0)).square().mean()
    assert unseen < 0.1 * still


def test_latents_begin_as_principal_components() -> None:
    torch.manual_seed(0)
    codec = DiffusionAutoencoder(tiny().renderer)
    encoder = codec.encoder
    pictures = (torch.randn(200, 5) @ torch.randn(5, 3 * 64 * 64)).reshape(200, 3, 64, 64) / 4
    encoder.set_components(pictures)
    assert encoder.components is not None
    with torch.no_grad():
        latent = encoder.components(encoder.small(pictures) - encoder.centre)
    assert torch.allclose(latent[:, :5].T @ latent[:, :5] / 200, torch.eye(5), atol=0.05)
    assert latent[:, 5:].abs().max() < 0.05  # there are only five


def test_compact_is_small_enough_to_ship() -> None:
    with torch.device("meta"):
        codec = DiffusionAutoencoder(compact().renderer)
    assert millions(codec) < 30
    assert tiny().renderer.size == 64


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_graph_shows_what_is_shown_without_one() -> None:
    codec = _unlike_zero().cuda()
    graphed, noise = GraphedDecoder(codec.decode), shared_noise(codec.size, 0).cuda()
    with torch.inference_mode():
        for count in (3, 1, 3, 1, 3, 1, 3):
            latents = torch.randn(count, codec.motion_width, device="cuda")
            assert (
                graphed(latents, noise, 2) - codec.decode(latents, noise, 2)
            ).abs().max() < 1 / 255
    assert graphed.usable
    assert len(graphed._recorded) == 2


def test_where_no_graph_can_be_recorded_pictures_are_made_without(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = _unlike_zero()
    graphed, noise, latents = (
        GraphedDecoder(codec.decode),
        shared_noise(codec.size, 0),
        torch.randn(3, codec.motion_width),
    )
    with torch.inference_mode():
        plain = codec.decode(latents, noise, 1)
        # a graph that holds nothing shows what was made while it was recorded
        monkeypatch.setattr(
            GraphedDecoder,
            "_record",
            lambda self, *given: (_Replay(), *given[:2], codec.decode(*given)),
        )
        assert torch.equal(graphed(latents, noise, 1), plain)
        assert graphed.usable  # none is recorded for what comes once
        for _ in range(2):
            assert torch.equal(graphed(latents, noise, 1), plain)
        assert not graphed.usable

        for message in ("operation not permitted when stream is capturing", "CUDA out of memory"):

            def refused(self: GraphedDecoder, *given: object, said: str = message) -> None:
                raise RuntimeError(said)

            monkeypatch.setattr(GraphedDecoder, "_record", refused)
            graphed = GraphedDecoder(codec.decode)
            for _ in range(3):
                assert torch.equal(graphed(latents, noise, 1), plain)
            assert not graphed.usable
    assert "without CUDA graphs" in caplog.text


def _unlike_zero() -> DiffusionAutoencoder:
    """A codec that, other than a new one, shows something."""
    torch.manual_seed(0)
    codec = DiffusionAutoencoder(tiny().renderer).eval().requires_grad_(False)
    for parameter in codec.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return codec


class _Replay:
    def replay(self) -> None:
        pass
