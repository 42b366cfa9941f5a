"""motion: the contract of motion models, streams without seams, and controls that do what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from talkers.controls.head_track import HeadTrack
from talkers.controls.pose_files import constant_pose, read_pose_file
from talkers.controls.request import Controls
from talkers.errors import UsageError
from talkers.motion import FlowConfig, FlowMotion, MotionConfig, Speech2Latent, latent_stream
from talkers.motion.contract import Context, Motion
from talkers.motion.flow import frame_noise
from talkers.motion.streaming import MotionStream
from talkers.motion.windows import at_frames
from talkers.runtime.timing import lookahead, rebatch, resample
from talkers.space.linear import HEAD, Adjust, FaceEdit, LatentSpace
from talkers.systems.recipe import SamplerTraining
from talkers.training.flow_stage import FlowModule, with_suffix_prompts
from talkers.training.progress import TrainingProgress

STATISTICS = {
    "mean": torch.tensor([5.0, 0, 0, 0.5, 0.5, 0.25, 0.1]),
    "std": torch.full((7,), 0.1),
    "low": torch.full((7,), -10.0),
    "high": torch.full((7,), 12.0),
    "follows": torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.25, 0.0], [0.0, 0.0, 0.0]]),
}


@pytest.fixture(scope="module", params=["regressor", "sampler"])
def model(request: pytest.FixtureRequest) -> LatentSpace:
    torch.manual_seed(0)
    made: LatentSpace
    if request.param == "regressor":
        made = Speech2Latent(
            MotionConfig(
                width=32, encoder_blocks=1, decoder_blocks=1, heads=2, dropout=0.1, pose_hidden=8
            ),
            20,
            16,
        ).eval()
    else:
        made = FlowMotion(FlowConfig(width=32, blocks=2, heads=2, shapes=8, steps=3), 20, 16).eval()
    made.set_statistics(torch.randn(100, 16) * 3 + 1, torch.randn(100, 7) * 2)
    return made


class TestContract:
    """What every motion model promises (see `MotionModel`)."""

    def test_one_latent_a_frame(self, model: LatentSpace) -> None:
        motion = model(torch.randn(2, 60, 20))
        assert motion.latents.shape == (2, 30, 16)
        assert motion.head.shape == (2, 30, len(HEAD))

    def test_a_batch_equals_its_parts(self, model: LatentSpace) -> None:
        features = torch.randn(3, 40, 20)
        together = model(features).latents
        apart = torch.cat([model(f[None]).latents for f in features])
        assert torch.allclose(together, apart, atol=1e-4)

    def test_the_same_speech_gives_the_same_latents(self, model: LatentSpace) -> None:
        features = torch.randn(1, 40, 20)
        assert torch.equal(model(features).latents, model(features).latents)

    def test_given_poses_are_heeded_and_missing_ones_predicted(self, model: LatentSpace) -> None:
        features = torch.randn(1, 40, 20)
        predicted = model(features)
        poses = predicted.head.detach()
        nothing = model(features, torch.full((1, 20, 7), float("nan")))
        assert torch.allclose(nothing.latents, predicted.latents, atol=1e-5)
        if isinstance(model, Speech2Latent):
            assert torch.allclose(model(features, poses).latents, predicted.latents, atol=1e-3)
        else:
            assert torch.allclose(model(features, poses + 3).head, poses + 3, atol=1e-3)
        assert not torch.allclose(
            model(features, predicted.head.detach() + 20).latents, predicted.latents, atol=1e-2
        )

    def test_frames_that_do_not_exist_are_not_heard(self, model: LatentSpace) -> None:
        features, mask = torch.randn(1, 40, 20), torch.ones(1, 20, dtype=torch.bool)
        mask[:, 12:] = False
        other = features.clone()
        other[:, 26:] = torch.randn(
            1, 14, 20
        )  # from 26 on: the downsampling looks one feature around
        assert torch.allclose(
            model(features, None, mask).latents[:, :12],
            model(other, None, mask).latents[:, :12],
            atol=1e-4,
        )

    def test_every_weight_learns(self, model: LatentSpace) -> None:
        motion = model(torch.randn(2, 40, 20), mask=torch.ones(2, 20, dtype=torch.bool))
        (motion.latents.square().sum() + motion.head.square().sum()).backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
        model.zero_grad()


def heard(speech: torch.Tensor) -> torch.Tensor:
    """Speech [B, T, 1] as features [B, 2 T, 4]."""
    twice = speech.repeat_interleave(2, 1)
    return torch.cat([twice, torch.tensor([1.0, -1, 0]).expand(*twice.shape[:2], 3)], -1)


class TestSampler:
    """What a model that samples promises beside."""

    @pytest.fixture(scope="class")
    def sampler(self) -> FlowMotion:
        """Trained on a face that opens its mouth with speech, and turns its head one way or the other as it likes."""
        torch.manual_seed(0)
        model = FlowMotion(
            FlowConfig(width=32, blocks=2, heads=2, dropout=0.0, shapes=4, steps=8, guidance=1.0),
            4,
            6,
        )

        def clips(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            speech = torch.randn(count, 24, 1)
            side = torch.where(torch.rand(count, 1, 1) < 0.5, -1.0, 1.0).expand(
                -1, 24, -1
            ) + 0.1 * torch.randn(count, 24, 1)
            latents = torch.cat(
                [3 * speech, side, speech - side, 0.01 * torch.randn(count, 24, 3)], -1
            )
            head = torch.cat([10 * side, 0.1 * torch.randn(count, 24, 6)], -1)
            return heard(speech), latents, head

        _, latents, head = clips(200)
        model.set_statistics(latents.reshape(-1, 6), head.reshape(-1, 7))
        module = FlowModule(
            model, SamplerTraining(batch=32, window=24), TrainingProgress(1), 0, torch.eye(6)
        )
        module.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
        every = torch.ones(32, 24, dtype=torch.bool)
        for _ in range(400):
            features, latents, head = clips(32)
            loss = module.training_step(
                {
                    "features": features,
                    "latents": latents,
                    "head": head,
                    "exists": every,
                    "usable": every,
                },
                0,
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return model.eval().requires_grad_(False)

    def test_what_speech_determines_follows_it_and_the_rest_is_drawn(
        self, sampler: FlowMotion
    ) -> None:
        speech = torch.randn(1, 24, 1)
        features = heard(speech)
        takes = [sampler(features, seed=seed) for seed in range(24)]
        opened = torch.stack([take.latents[0, :, 0] for take in takes])
        for take in opened:
            assert torch.corrcoef(torch.stack([take, speech[0, :, 0]]))[0, 1] > 0.9
        yaw = torch.stack([take.head[0, :, 0].mean() for take in takes])
        assert yaw.abs().mean() > 6  # a regressor would say 0
        assert 4 <= int((yaw > 0).sum()) <= 20

    def test_it_goes_on_as_it_began_and_obeys(self, sampler: FlowMotion) -> None:
        features = heard(torch.randn(1, 24, 1))
        for side in (-10.0, 10.0):
            begun = sampler.rows(
                torch.cat(
                    [torch.zeros(1, 6, 1), torch.full((1, 6, 1), side / 10), torch.zeros(1, 6, 4)],
                    -1,
                ),
                torch.tensor([side, *[0] * 6]).expand(1, 6, 7),
            )
            made = [sampler(features, known=begun, seed=seed) for seed in range(8)]
            assert all(torch.allclose(m.head[0, :6, 0], torch.tensor(side), atol=0.1) for m in made)
            assert sum(float(m.head[0, 6:, 0].mean() * side) > 0 for m in made) >= 7
            asked = torch.full((1, 24, 7), float("nan"))
            asked[..., 0] = side
            enforced = sampler(features, asked, seed=1)
            assert torch.allclose(enforced.head[..., 0], torch.tensor(side), atol=0.1)
            assert enforced.latents[0, :, 1].mean() * side > 0
        limited = sampler(features, adjust=lambda head: head.clamp(-2, 2), seed=3)
        assert limited.head.abs().max() < 2.1

    def test_it_takes_up_the_style_of_a_reference_clip(self, sampler: FlowMotion) -> None:
        """A head turned to one side in a clip of other words stays turned; nothing of the clip is given back."""
        for side in (-10.0, 10.0):
            clip = torch.cat(
                [
                    torch.zeros(1, 8, 1),
                    torch.full((1, 8, 1), side / 10),
                    torch.full((1, 8, 1), -side / 10),
                    torch.zeros(1, 8, 3),
                ],
                -1,
            )
            shown = Context(
                heard(torch.zeros(1, 8, 1)),
                sampler.rows(clip, torch.tensor([side, *[0] * 6]).expand(1, 8, 7)),
            )
            made = [
                sampler(heard(torch.randn(1, 16, 1)), seed=seed, context=shown) for seed in range(8)
            ]
            assert all(
                m.latents.shape == (1, 16, 6) and m.state.shape == (1, 16, sampler.row)
                for m in made
            )
            assert sum(float(m.head[0, :, 0].mean() * side) > 0 for m in made) >= 7

    def test_some_windows_are_learnt_with_their_end_first(self) -> None:
        torch.manual_seed(0)
        rows = torch.arange(24.0)[None, :, None].expand(16, -1, 1)
        batch = {
            "latents": rows,
            "features": torch.arange(48.0)[None, :, None].expand(16, -1, 1),
            "exists": torch.ones(16, 24, dtype=torch.bool),
        }
        turned = with_suffix_prompts(batch, 0.5)
        begins = turned["latents"][:, 0, 0]
        assert 3 <= int((begins > 0).sum()) <= 13
        assert torch.equal(turned["features"][:, ::2, 0], 2 * turned["latents"][..., 0])
        assert torch.equal(turned["latents"].sort(1).values, rows)

    def test_a_frame_has_its_own_noise_in_whatever_window(self) -> None:
        assert torch.allclose(
            frame_noise(0, 200, 3, 5)[50:150], frame_noise(50, 100, 3, 5), atol=1e-5
        )
        assert not torch.equal(frame_noise(0, 10, 3, 5), frame_noise(0, 10, 3, 6))
        many = frame_noise(0, 4000, 8, 1)
        assert many.std() == pytest.approx(1, abs=0.05)
        assert 0.5 < (many[1:] * many[:-1]).mean() < 0.95


class Echo:
    """A motion model that says which features it heard: what streams do with it shows their timing."""

    def __call__(
        self,
        features: torch.Tensor,
        head: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        adjust: object = None,
        **asked: object,
    ) -> Motion:
        frames = features.reshape(1, -1, 2, features.shape[-1]).mean(2)
        return Motion(frames, torch.zeros(1, frames.shape[1], len(HEAD)))


@pytest.mark.parametrize("frames", [1, 10, 75, 100, 101, 130, 475, 1000])
@pytest.mark.parametrize(
    ("rate", "hop"), [(25.0, 50), (25.0, 75), (24.0, 75), (24.0, 50), (30.0, 50)]
)
def test_streams_have_no_seams_and_keep_time(frames: int, rate: float, hop: int) -> None:
    count = int(frames / rate * 50) + 1
    ramp = (torch.arange(count, dtype=torch.float32) + 0.5)[
        :, None
    ] / 50  # each feature says its time in seconds
    blocks = [ramp[i : i + 100] for i in range(0, count, 100)]
    out = torch.cat(
        [latents for latents, _ in latent_stream(Echo(), blocks, 50, rate, frames, hop=hop)]
    )[:, 0]
    wanted = (torch.arange(frames) + 0.5) / rate
    assert len(out) == frames
    middle = slice(1, max(1, frames - 2))
    assert torch.allclose(out[middle], wanted[middle], atol=0.011)


def test_blocks_may_come_in_any_size(model: LatentSpace) -> None:
    features = torch.randn(600, 20)
    outs = [
        torch.cat([a for a, _ in latent_stream(model, features.split(n), 50, 25, 300)])
        for n in (1, 7, 100, 600)
    ]
    for out in outs[1:]:
        assert torch.equal(out, outs[0])


def test_heads_are_adjusted_once(model: LatentSpace) -> None:
    """What was adjusted is not what the next window goes on from."""
    features = torch.randn(500, 20)

    def heads(adjust: Adjust | None) -> tuple[torch.Tensor, torch.Tensor]:
        whole = torch.cat(
            [h for _, h in latent_stream(model, [features], 50, 25, 250, adjust=adjust)]
        )
        live = MotionStream(
            model, 50, 25, lambda first, count: torch.full((count, len(HEAD)), torch.nan), adjust
        )
        return whole, live.push(features)[1]

    for plain, turned in zip(heads(None), heads(lambda head: head - 1.5), strict=True):
        assert torch.allclose(turned, plain - 1.5, atol=1e-4)


def test_at_frames_interpolates() -> None:
    ramp = torch.arange(100, dtype=torch.float32)[:, None]
    assert torch.equal(at_frames(ramp, 50, 25, 10, 5)[:, 0], torch.arange(20.0, 30))
    slow = at_frames(ramp, 50, 20, 0, 10)[:, 0]
    assert torch.allclose(slow.diff(), torch.full((19,), 1.25))


def test_latents_at_other_frame_rates() -> None:
    ramp = (torch.arange(250, dtype=torch.float32) + 0.5)[:, None] / 25
    for rate, count in ((30.0, 300), (24.0, 240), (60.0, 600), (29.97, 299)):
        out = torch.cat(list(resample(ramp.split(37), 25, rate, count)))[:, 0]
        assert len(out) == count
        wanted = (torch.arange(count) + 0.5) / rate
        assert torch.allclose(out[3:-5], wanted[3:-5], atol=1e-4)


def test_rebatch_keeps_order_and_grows() -> None:
    rows = torch.arange(50, dtype=torch.float32)[:, None]
    batches = list(rebatch(rows.split(13), 8))
    assert torch.equal(torch.cat(batches), rows)
    assert [len(b) for b in batches[:4]] == [1, 2, 4, 8]


def test_lookahead_keeps_order_tells_errors_and_stops() -> None:
    assert list(lookahead(iter(range(100)), 4)) == list(range(100))
    made: list[int] = []

    def items() -> Iterator[int]:
        for k in range(1000):
            made.append(k)
            yield k
        raise ValueError("at the end")

    ahead = lookahead(items(), 4)
    assert next(ahead) == 0
    ahead.close()
    assert len(made) <= 8  # it did not run on
    with pytest.raises(ValueError, match="at the end"):
        list(lookahead(items(), 4))


def curve(controls: Controls, seed: int = 0) -> HeadTrack:
    return HeadTrack(controls, controls.curves(), seed, 25.0, **STATISTICS)


def test_still_means_still_and_predicted_means_asked_of_the_model() -> None:
    still = curve(Controls("still", blinks=0))(0, 50)
    assert torch.equal(still[:, :6], STATISTICS["mean"][:6].expand(50, 6))
    assert curve(Controls())(0, 50)[:, :6].isnan().all()


def test_blinks_come_at_their_rate_and_do_not_depend_on_chunks() -> None:
    whole = curve(Controls(blinks=20), seed=3)(0, 25 * 60)[:, 6]
    closed = whole > whole.min() + 0.7 * (whole.max() - whole.min())
    count = int((closed[1:] & ~closed[:-1]).sum())
    assert 18 <= count <= 21
    parts = torch.cat([curve(Controls(blinks=20), seed=3)(i, 50)[:, 6] for i in range(0, 1500, 50)])
    assert torch.equal(whole, parts)
    assert not torch.equal(whole, curve(Controls(blinks=20), seed=4)(0, 1500)[:, 6])
    none = curve(Controls(blinks=0))(0, 1500)[:, 6]
    assert none.std() == 0


def test_pose_files_are_followed_and_limited_to_the_footage(tmp_path: Path) -> None:
    path = tmp_path / "pose.csv"
    path.write_text("time,yaw\n0,0\n2,10\n4,30\n")
    made = curve(Controls(str(path)))
    values = made(0, 100)
    assert values[25, 0] == pytest.approx(5)
    assert not made.clamped or values[:50, 0].max() <= 10
    assert values[99, 0] == 12
    assert made.clamped
    assert values[:, 1].isnan().all()
    (tmp_path / "pose.json").write_text(
        '[{"time": 0, "pitch": 1, "roll": 2}, {"time": 1, "pitch": 3, "roll": 2}]'
    )
    assert curve(Controls(str(tmp_path / "pose.json")))(0, 26)[25, 1] == pytest.approx(3)


def test_what_nobody_asked_for_is_not_said() -> None:
    """Heads that an avatar or a style moves are kept within the footage like any other, without a word."""
    styled = HeadTrack(Controls(), None, 0, 25.0, **STATISTICS, scale=1.5, offset=(2.0, 0.0, 0.0))
    far = STATISTICS["high"].expand(5, 7)
    assert torch.equal(styled.scaled_and_clamped(far)[:, :3], far[:, :3])
    assert torch.equal(styled.enforced(0, far), far)
    mean = STATISTICS["mean"].expand(5, 7)
    assert styled.scaled_and_clamped(mean)[:, 0].tolist() == pytest.approx(
        [float(mean[0, 0]) + 2] * 5
    )
    assert not styled.remarks(4)


def test_what_is_odd_about_poses_is_said(tmp_path: Path) -> None:
    def said(text: str, seconds: float, **more: float) -> str:
        (tmp_path / "pose.csv").write_text(text)
        made = curve(Controls(str(tmp_path / "pose.csv"), **more))  # type: ignore[arg-type]
        made(0, int(25 * seconds))
        return " ".join(made.remarks(seconds))

    assert said("time,yaw\n0,1\n4,2\n", 4) == ""
    assert "limited" in said("time,yaw\n0,1\n4,30\n", 4)
    assert "seconds" in said("time,yaw\n0,1\n4000,2\n", 4)
    assert "last pose is kept" in said("time,yaw\n0,1\n1,2\n", 4)
    assert "degrees" in said("time,yaw\n0,0.1\n4,0.2\n", 4)
    turned = curve(Controls(pose_scale=2.0))
    turned.scaled_and_clamped(STATISTICS["mean"].expand(3, -1))
    assert not turned.remarks(4)
    turned.scaled_and_clamped(STATISTICS["high"].expand(3, -1))
    assert "limited" in " ".join(turned.remarks(4))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("time,yaw\n0,1\n1\n", "row 2 has other columns"),
        ("time,yaw\n0,1\n1,2,3\n", "row 2 has other columns"),
        ("time,yaw\n0,1,2\n", "row 1 has more values"),
        ('[{"time": 0, "yaw": 1}, {"time": 1, "pitch": 1}]', "row 2 has other columns"),
        ("time,frame,yaw\n0,0,1\n", "has the columns"),
        ("frame,yaw\n3,1\n2,1\n", "frame does not rise"),
    ],
)
def test_rows_that_are_not_alike_are_named(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / ("a.json" if text[0] == "[" else "a.csv")
    path.write_text(text)
    with pytest.raises(UsageError, match=why):
        Controls(str(path)).curves()


def test_one_look_is_worn_and_head_and_mouth_are_left_alone() -> None:
    torch.manual_seed(0)
    model = Speech2Latent(MotionConfig(width=16, heads=2), 8, 24)
    clips, every = [], []
    for k in range(
        12
    ):  # dimensions 0..6 move with the head, 7..9 with the mouth, 10..13 with brows and gaze, 20..22 are the take's look
        head, mouth, eyes = torch.randn(40, 7), torch.randn(40, 3), torch.randn(40, 4)
        latents = 0.01 * torch.randn(40, 24)
        latents[:, :7] += head
        latents[:, 7:10] += mouth
        latents[:, 10:14] += eyes
        latents[:, 20:23] += (
            torch.tensor([3.0, 1, -2]) if k % 4 else torch.randn(3)
        ) + 0.01 * torch.randn(3)
        clips.append((latents, head))
        every.append((latents, head, mouth, eyes))
    latents, head, mouth, eyes = (torch.cat(x) for x in zip(*every, strict=True))
    model.set_statistics(latents, head)
    parts = {
        "mouth": torch.cat([mouth, torch.randn(len(mouth), 9)], 1),
        "brows": eyes[:, :2],
        "gaze": eyes[:, 2:],
    }
    model.set_face(latents, head, parts, torch.ones(len(mouth), dtype=torch.bool))
    assert torch.allclose(model.articulate(latents), latents, atol=1e-5)  # before it is set
    model.fit_appearance(clips)
    made = model.articulate(latents)
    assert (made[:, 20:23] - torch.tensor([3.0, 1, -2])).abs().max() < 0.3
    assert (made[:, :10] - latents[:, :10]).abs().quantile(0.99) < 0.6
    own = model.articulate(latents[:40], look=model.estimate_appearance(latents[:40]))
    assert (own[:, 20:23].mean(0) - latents[:40, 20:23].mean(0)).abs().max() < 0.05
    shifted = model.estimate_appearance(latents[:40])._replace(shift=torch.arange(24.0))
    assert torch.allclose(
        model.articulate(latents[:40], look=shifted) - own,
        torch.arange(24.0).expand(40, -1),
        atol=1e-4,
    )


def test_mouth_brows_and_gaze_move_alone() -> None:
    """Each is told by numbers of its own in the latents; head and gaze go together, as eyes stay on what they look at, and so
    do head and mouth."""
    torch.manual_seed(0)
    model = Speech2Latent(MotionConfig(width=16, heads=2), 8, 24)
    head, mouth, brows = torch.randn(2000, 7), torch.randn(2000, 6), torch.randn(2000, 2)
    gaze = 0.5 * torch.randn(2000, 2) - head[:, :2]
    mouth = (
        mouth + 0.8 * head[:, 1:2]
    )  # a head that nods when it speaks must not be moved by its mouth
    latents = torch.cat([head, mouth, brows, gaze, 0.1 * torch.randn(2000, 7)], 1)
    still = torch.arange(2000) < 500
    mouth[still] = latents[still, 7:13] = -1.0
    model.set_statistics(latents, head)
    model.set_face(latents, head, {"mouth": mouth, "brows": brows, "gaze": gaze}, still)
    assert (model.head_of(latents) - head).abs().max() < 0.3
    model.fit_appearance([(latents[k::10], head[k::10]) for k in range(10)])
    model.look_axes.zero_()  # nothing is worn
    shut = model.articulate(latents, FaceEdit(amplitude=0.0)) - latents
    assert torch.allclose(shut[:, 7:13], -1 - mouth, atol=0.15)
    assert shut[:, :7].abs().mean() < 0.1
    raised = model.articulate(latents, FaceEdit(expression=2.0)) - latents
    assert torch.allclose(raised[:, 13:15], brows - brows.mean(0), atol=0.2)
    assert raised[:, :13].abs().mean() < 0.1
    looked = model.articulate(latents, FaceEdit(gaze=(1.0, 0.0))) - latents
    assert looked[:, 15] == pytest.approx(
        1.0, abs=0.1
    )  # two standard deviations of what the head does not explain
    assert looked[:, :15].abs().mean() < 0.1
    told = torch.zeros(2000, 7)
    told[:, 1] = 2.0
    shown = model.head_of(model.articulate(latents, head=told))
    assert torch.allclose(shown[:, :5], told[:, :5], atol=1e-3)
    assert torch.allclose(
        shown[:, 5], model.head_of(latents)[:, 5], atol=0.1
    )  # a size is not steered
    assert torch.allclose(shown[:, 6], told[:, 6], atol=0.1)
    assert (model.articulate(latents, head=told) - latents)[:, 7:15].abs().mean() < 0.1


def test_eyes_stay_on_the_camera_while_the_head_turns() -> None:
    """In footage of a head that turns little within a take, its eyes always on the camera: a turn by which the eyes went with
    the head was never seen, and is a long way from every frame of it."""
    torch.manual_seed(0)
    model = Speech2Latent(MotionConfig(width=16, heads=2), 8, 24)
    takes = [torch.randn(1, 7) + 0.2 * torch.randn(300, 7) for _ in range(10)]
    head, mouth = torch.cat(takes), torch.randn(3000, 6)
    gaze = 0.03 * torch.randn(3000, 2) - head[:, :2]
    latents = torch.cat([head, mouth, torch.randn(3000, 2), gaze, 0.1 * torch.randn(3000, 7)], 1)
    model.set_statistics(latents, head)
    model.set_face(
        latents,
        head,
        {"mouth": mouth, "brows": latents[:, 13:15], "gaze": gaze},
        torch.ones(3000, dtype=torch.bool),
    )
    model.fit_appearance([(latents[k : k + 300], head[k : k + 300]) for k in range(0, 3000, 300)])
    model.look_axes.zero_()
    turned = [torch.full((3000, 7), float("nan")) for _ in range(2)]
    for yaw, told in zip((0.0, 1.0), turned, strict=True):
        told[:, 0] = yaw
    step = (
        model.articulate(latents, head=turned[1]) - model.articulate(latents, head=turned[0])
    ).mean(0)
    assert step[0] == pytest.approx(1, abs=0.25)
    assert step[15] == pytest.approx(-1, abs=0.25)
    assert step[7:15].abs().max() < 0.1


def test_closed_eyes_are_learnt_from_blinks_alone() -> None:
    """In footage of a person whose eyes are half closed when the cheeks are raised, and closed now and then."""
    torch.manual_seed(0)
    model = Speech2Latent(MotionConfig(width=16, heads=2), 8, 24)
    count = 3000
    blink = torch.zeros(count)
    for start in range(20, count - 20, 60):
        blink[start : start + 5] = torch.tensor([0.4, 0.8, 1.0, 0.7, 0.3])
    mouth, head = torch.randn(count, 6).cumsum(0).sin(), 0.3 * torch.randn(count, 7)
    head[:, 6] = blink
    cheeks = torch.randn(count, 1).cumsum(0).div(20).sin()
    head[:, 6:] += 0.2 * cheeks
    latents = torch.cat(
        [head[:, :6], blink[:, None], mouth, 2 * cheeks.expand(-1, 4), 0.1 * torch.randn(count, 7)],
        1,
    )
    model.set_statistics(latents, head)
    parts = {"mouth": mouth, "brows": torch.randn(count, 2), "gaze": torch.randn(count, 2)}
    model.set_face(latents, head, parts, torch.ones(count, dtype=torch.bool))
    model.fit_appearance([(latents[k : k + 300], head[k : k + 300]) for k in range(0, count, 300)])
    model.look_axes.zero_()
    told = torch.full((count, 7), float("nan"))
    told[:, 6] = 1.0
    closed = (model.articulate(latents, head=told) - latents)[blink == 0]
    assert closed[:, 6].mean() == pytest.approx(1.0, abs=0.25)
    assert closed[:, 7:17].mean(0).abs().max() < 0.2
    assert closed[:, :6].mean(0).abs().max() < 0.1


def test_a_head_that_turns_also_moves() -> None:
    values = curve(Controls("yaw=7, pitch=-2"))(0, 3)
    assert values[0, 3:6].tolist() == pytest.approx([0.5 + 2 * 0.5, 0.5 - 2 * 0.25, 0.25])
    scaled_and_clamped = curve(
        Controls(pose_offset=(1.0, 0.0, 0.0), pose_scale=0.5)
    ).scaled_and_clamped(torch.tensor([[7.0, 0, 0, 0.5, 0.5, 0.25, 0.1]]))
    assert scaled_and_clamped[0, 0] == 5 + 1 + 1
    assert scaled_and_clamped[0, 3] == pytest.approx(0.5)  # turned by -1 and 1 degrees


def test_a_pose_may_be_constant() -> None:
    values = curve(Controls("yaw=5, pitch=-2"))(0, 3)
    assert values[:, 0].tolist() == [5, 5, 5]
    assert values[0, 1] == pytest.approx(-2)
    assert values[:, 2].isnan().all()
    for wrong in ("tilt=3", "yaw=a lot", "yaw=nan", "yaw=300"):
        with pytest.raises(UsageError, match="pose"):
            constant_pose(wrong)


def test_predicted_poses_are_scaled_offset_and_limited() -> None:
    predicted = STATISTICS["mean"] + torch.tensor([2.0, 0, 0, 0, 0, 0, 0])
    plain, moved = (
        curve(c).scaled_and_clamped(predicted[None])[0]
        for c in (Controls(), Controls(pose_scale=0.5, pose_offset=(1.0, -1.0, 0)))
    )
    assert torch.allclose(plain, predicted)
    assert moved[0] == pytest.approx(float(STATISTICS["mean"][0]) + 2)  # half of 2, and 1
    assert moved[1] == pytest.approx(float(STATISTICS["mean"][1]) - 1)
    assert moved[3] == plain[3]  # the head turns by nothing in all
    assert moved[4] == pytest.approx(float(plain[4]) - 0.25)
    assert torch.equal(moved[[2, 5, 6]], plain[[2, 5, 6]])
    far = curve(Controls()).scaled_and_clamped(predicted[None] + 1000)[0]
    assert torch.equal(far, STATISTICS["high"])


def test_blinks_come_when_they_are_asked_for() -> None:
    closed = curve(Controls(blink_times=(1.0, 3.0)))(0, 100)[:, 6]
    shut = closed > closed.min() + 0.7 * (closed.max() - closed.min())
    starts = torch.nonzero(shut[1:] & ~shut[:-1])[:, 0] + 1
    assert [abs(int(s) - at) <= 2 for s, at in zip(starts, (25, 75), strict=True)] == [True, True]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "time,yaw\n",
        "yaw\n1\n",
        "time\n1\n",
        "time,yaw,zoom\n0,1,2\n",
        "time,yaw\n0,nan\n",
        "time,yaw\n0,x\n",
        "time,yaw\n1,0\n0,0\n",
        "time,yaw\n0,400\n",
        "\0\0\0",
    ],
)
def test_wrong_pose_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "pose.csv"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"pose\.csv") as caught:
        read_pose_file(path)
    assert caught.value.todo


def test_wrong_controls_are_refused() -> None:
    with pytest.raises(UsageError, match="no such pose file"):
        curve(Controls("nodding"))
    for values in (
        {"blinks": 600},
        {"blink_times": (-1.0,)},
        {"pose_scale": 9},
        {"pose_offset": (200.0, 0, 0)},
        {"amplitude": 0.1},
        {"motion": "dice"},
        {"style": None},
        {"pose": 5},
    ):
        with pytest.raises(UsageError, match="asked for"):
            Controls(**values)  # type: ignore[arg-type]
