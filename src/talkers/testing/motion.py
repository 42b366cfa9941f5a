"""What every motion space and every motion model promises; see their `contract` modules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from talkers.errors import UsageError
from talkers.motion import Conditions, MotionModel, MotionRequest, MotionStream, motion_of_speech
from talkers.runtime.avatar import Avatar
from talkers.space.contract import HEAD, FaceEdit, MotionSpace

ANGLES = slice(0, 3)
FEATURES = 240  # speech features of a test, 50 a second


class SpaceContract:
    """Inherit it, and give a fixture `avatar`."""

    @pytest.fixture
    def rows(self, avatar: Avatar) -> Tensor:
        """Motion that the avatar generates: [T, width]."""
        features = torch.randn(
            40, avatar.engine.bundle.speech_width, generator=torch.Generator().manual_seed(1)
        )
        with torch.inference_mode():
            key = next(iter(avatar.engine.motion))
            return avatar.engine.generate(features, None, kind=key, amplitude=1.0)

    def test_space_follows_its_protocol(self, avatar: Avatar) -> None:
        space = avatar.engine.space
        assert isinstance(space, MotionSpace)
        assert space.width == avatar.engine.renderer.motion_width

    def test_space_reads_face_states(self, avatar: Avatar, rows: Tensor) -> None:
        state = avatar.engine.space.read(rows)
        assert state.pose.shape == (len(rows), 6)
        assert state.blink.shape == (len(rows), 1)
        assert state.gaze.shape == (len(rows), 2)
        one = avatar.engine.space.read(rows[0])
        for whole, single in zip(state, one, strict=True):
            assert torch.allclose(whole[0], single, atol=1e-4, equal_nan=True)

    def test_space_smiles_with_the_mouth_alone_if_at_all(
        self, avatar: Avatar, rows: Tensor
    ) -> None:
        space = avatar.engine.space
        plain, smiling = (space.edit(rows, FaceEdit(smile=s), moving=0.0) for s in (0.0, 1.0))
        if not space.smiles:
            assert torch.equal(plain, smiling)
            return
        one, other = space.read(plain), space.read(smiling)  # how far is what it has learnt
        for part in ("pose", "blink", "gaze", "expression"):
            assert torch.allclose(getattr(one, part), getattr(other, part), equal_nan=True)

    def test_space_edits_each_frame_alone_and_changes_no_input(
        self, avatar: Avatar, rows: Tensor
    ) -> None:
        space, before = avatar.engine.space, rows.clone()
        edit = FaceEdit(1.3, 1.5, (0.2, -0.1), 0.5)
        moving = torch.linspace(0, 1, len(rows))[:, None]
        whole = space.edit(rows, edit, moving=moving)
        parts = [
            space.edit(part, edit, moving=share)
            for part, share in zip(torch.split(rows, 7), torch.split(moving, 7), strict=True)
        ]
        assert whole.shape == rows.shape
        assert torch.allclose(whole, torch.cat(parts), atol=1e-4)
        assert torch.equal(rows, before)

    def test_space_leaves_the_other_head_values(self, avatar: Avatar, rows: Tensor) -> None:
        space = avatar.engine.space
        nothing = torch.full((len(rows), len(HEAD)), float("nan"))
        assert torch.allclose(space.edit(rows, head=nothing), space.edit(rows), atol=1e-4)

    def test_space_shows_the_head_given(self, avatar: Avatar, rows: Tensor) -> None:
        space, statistics = avatar.engine.space, avatar.engine.bundle.head
        pose = space.read(rows).pose
        if pose.isnan().all() or pose.std() == 0:
            pytest.skip("this space does not say where the head is (it is not trained)")
        head = (statistics.mean + 0.5 * statistics.std).repeat(len(rows), 1)
        shown = space.read(space.edit(rows, head=head)).pose[:, ANGLES]
        assert torch.allclose(shown, head[:, ANGLES], atol=0.1 * float(statistics.std[0]))

    def test_space_retargets_by_differences(self, avatar: Avatar, rows: Tensor) -> None:
        space = avatar.engine.space
        there = space.retarget(rows, rows[0], rows[1])
        assert torch.allclose(space.retarget(there, rows[1], rows[0]), rows, atol=1e-3)


class MotionModelContract:
    """Inherit it, and give a fixture `avatar`; every motion model of the avatar is tested."""

    @pytest.fixture
    def features(self, avatar: Avatar) -> Tensor:
        """Speech features [FEATURES, F] of noise that rises and falls."""
        generator, width = torch.Generator().manual_seed(0), avatar.engine.bundle.speech_width
        noise = torch.randn(FEATURES, width, generator=generator)
        time = torch.arange(FEATURES)[:, None] / 50
        return 0.3 * noise + torch.sin(6 * time).clamp(min=0)

    @pytest.fixture
    def models(self, avatar: Avatar) -> list[MotionModel]:
        """The avatar's motion models."""
        return list(avatar.engine.motion.values())

    @pytest.fixture(autouse=True)
    def _inference(self) -> Iterator[None]:
        with torch.inference_mode():
            yield

    def test_models_make_one_motion_a_frame(
        self, models: list[MotionModel], features: Tensor
    ) -> None:
        for model in models:
            motion = model.generate(Conditions(torch.stack([features, features.flip(0)])))
            assert motion.values.shape == (2, FEATURES // 2, model.space.width)
            assert motion.head.shape == (2, FEATURES // 2, len(HEAD))
            assert motion.values.isfinite().all()

    def test_models_batch_equals_its_parts(
        self, models: list[MotionModel], features: Tensor
    ) -> None:
        batch = torch.stack([features, features.flip(0), 0.5 * features])
        for model in models:
            together = model.generate(Conditions(batch)).values
            apart = [model.generate(Conditions(rows[None])).values for rows in batch]
            assert torch.allclose(together, torch.cat(apart), atol=1e-3)

    def test_models_same_seed_same_motion(
        self, models: list[MotionModel], features: Tensor
    ) -> None:
        for model in models:
            first, again = (model.generate(Conditions(features[None]), seed=4) for _ in range(2))
            assert torch.equal(first.values, again.values)

    def test_models_predict_head_values_that_are_not_given(
        self, models: list[MotionModel], features: Tensor
    ) -> None:
        nothing = torch.full((1, FEATURES // 2, len(HEAD)), float("nan"))
        for model in models:
            plain = model.generate(Conditions(features[None])).values
            free = model.generate(Conditions(features[None], nothing)).values
            assert torch.allclose(free, plain, atol=1e-4)

    def test_models_refuse_unknown_conditions_in_one_sentence(
        self, models: list[MotionModel], features: Tensor
    ) -> None:
        for model in models:
            weather = {"weather": torch.zeros(1, FEATURES // 2, 1)}
            with pytest.raises(UsageError, match="'weather'") as caught:
                model.generate(Conditions(features[None], tracks=weather))
            assert all(name in str(caught.value) for name in model.accepts)

    @pytest.mark.parametrize("size", [1, 7, 100])
    def test_files_do_not_depend_on_how_features_are_cut(
        self, avatar: Avatar, models: list[MotionModel], features: Tensor, size: int
    ) -> None:
        longer = features.repeat(2, 1)
        for model in models:
            request = MotionRequest(model, float(avatar.frame_rate))
            count = int(len(longer) / 50 * request.frame_rate)
            whole, cut = (
                torch.cat([rows for rows, _ in motion_of_speech(request, parts, count)])
                for parts in ([longer], torch.split(longer, size))
            )
            assert len(whole) == count
            assert torch.equal(whole, cut)

    def test_streams_do_not_depend_on_how_features_are_cut(
        self, avatar: Avatar, models: list[MotionModel], features: Tensor
    ) -> None:
        for model in models:
            request = MotionRequest(model, float(avatar.frame_rate))
            whole, stream = MotionStream(request).push(features), MotionStream(request)
            sizes = [1] * 40 + [7] * 10 + [100] * len(features)
            cut = torch.split(features, _until(sizes, len(features)))
            parts = [stream.push(part) for part in cut]
            for rows, pieces in zip(whole, zip(*parts, strict=True), strict=True):
                assert torch.allclose(rows, torch.cat([p for p in pieces if len(p)]), atol=1e-4)


def _until(sizes: list[int], total: int) -> list[int]:
    """The first of some sizes, as many as make up a total; the last is cut."""
    chosen: list[int] = []
    for size in sizes:
        if sum(chosen) < total:
            chosen.append(min(size, total - sum(chosen)))
    return chosen
