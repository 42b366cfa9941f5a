"""Settings of the training stages. The stages themselves are in `talkers.training`."""

from __future__ import annotations

from dataclasses import dataclass

from talkers.configuration import limited


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """What the settings of every training stage have."""

    type: str  # the stage's registered name
    share: float = limited(0.1, 0, 1000)  # of a time budget, relative to the other stages
    frames: int = limited(1_000_000, 0, 10**10)
    """Frames seen in all; 0: the component of the avatar that is started from is kept."""
    batch: int = 16  # frames, or windows of frames, a step and process
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    warmup: float = 0.03  # share of training with a rising learning rate
    gradient_clip: float = 1.0
    decay: bool = True  # let the learning rate fall to 1 % (cosine)
    ema: float = 0.998  # decay of the averaged weights
    validate_every: int = 200_000  # frames between validations
    save_every: int = 100_000  # frames between checkpoints


@dataclass(frozen=True, kw_only=True)
class RendererTraining(StageConfig):
    """How any renderer that knows its own loss (`training_loss`) is trained."""

    type: str = "renderer"
    share: float = limited(0.57, 0, 1000)
    blink_boost: float = 0.0  # closed eyes are seen 1 + this times as often


@dataclass(frozen=True, kw_only=True)
class CodecTraining(StageConfig):
    """How the diffusion autoencoder is trained (stage 1 of DAE-Talker)."""

    type: str = "codec"
    share: float = limited(0.57, 0, 1000)
    frames: int = limited(100_000_000, 0, 10**10)
    batch: int = 64  # frames
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    warmup: float = 0.0
    decay: bool = False
    ema: float = 0.9999
    mouth_weight: float = 1.0  # loss weight of the mouth's box, relative to the rest
    eye_weight: float = 1.0
    blink_boost: float = 0.0  # closed eyes are seen 1 + this times as often
    max_noise_fraction: float = 0.0  # of training pictures at the noisiest level (t = 999)
    appearance_weight: float = 0.5  # of the error of the appearance model's picture alone
    descriptor_weight: float = 0.0
    """Of the loss by which a linear probe must read mouth and eyes from the latents."""
    latent_noise: float = 0.0  # standard deviation of noise on latents: keeps neighbours alike
    validate_every: int = 40_000
    save_every: int = 8_000
    compile: bool = False  # fuse kernels with torch.compile (needs a C++ compiler on a CPU)


@dataclass(frozen=True, kw_only=True)
class WarpTraining(StageConfig):
    """How the networks of the warping renderer are trained, on pairs of frames of one person."""

    type: str = "warp"
    share: float = limited(0.5, 0, 1000)
    frames: int = limited(200_000, 0, 10**10)
    batch: int = 8  # pairs, or sources with the clips that they are paired to
    window: int = limited(1, 1, 100)  # frames of such a clip: experts judge some that follow
    reading_weight: float = limited(0.0, 0, 1000)  # of the lip reader's loss (TalkLip)
    sync_weight: float = limited(0.0, 0, 1000)  # of the sync expert's loss
    critic_weight: float = limited(0.0, 0, 1000)  # of what a critic finds, which learns beside it
    points_weight: float = limited(0.0, 0, 1000)  # of key points that a reader finds in patches
    learning_rate: float = 8e-4
    ema: float = 0.998
    partners: int = limited(16, 1, 1024)  # frames to which each is paired
    pictures: str = ""  # folder of portraits of many people that are learnt from too
    pictures_share: float = limited(0.4, 0, 1)  # of the pairs, if there is such a folder
    open_boost: float = 2.0  # wide mouths are seen 1 + this times as often
    blink_boost: float = 3.0  # closed eyes likewise
    validate_every: int = 16_000
    save_every: int = 8_000


@dataclass(frozen=True, kw_only=True)
class MotionStageConfig(StageConfig):
    """What the trainings of all motion models have."""

    share: float = limited(0.15, 0, 1000)
    frames: int = limited(3_000_000, 0, 10**10)
    window: int = 64  # frames of a training window
    silence_weight: float = 0.3
    """How often windows come with digital silence between words, or nothing but silence."""
    non_speech_weight: float = 0.45  # how often with music or noise in place of the speech
    augmented_weight: float = 1.0  # how often in other voices, rooms and noise
    time_warp_fraction: float = 0.5  # of windows that pass in another rhythm, sound and face
    probe_weight: float = 1.0  # of the error of the face descriptors that a probe reads


@dataclass(frozen=True, kw_only=True)
class MotionModelTraining(MotionStageConfig):
    """How any motion model that knows its own loss (`training_loss`) is trained."""

    type: str = "motion_model"
    key: str = "regressor"  # of the motion model among the recipe's


@dataclass(frozen=True, kw_only=True)
class RegressorTraining(MotionStageConfig):
    """How speech2latent is trained (stage 2 of DAE-Talker)."""

    type: str = "regressor"
    pose_weight: float = 0.5  # of the pose predictor's loss, relative to that of the latents
    velocity_weight: float = 0.5  # of the error of frame-to-frame differences of the latents
    tts_voices: tuple[str, ...] = limited((), 0, 0, may_be_empty=True)
    """Voices of `talkers say` that speak the clips' transcripts beside the altered ones."""
    lips_weight: float = 0.0  # of the lip reader's loss (the expert that sees landmarks)
    sync_weight: float = 0.0  # of the sync expert's loss (the expert that sees landmarks)


@dataclass(frozen=True, kw_only=True)
class FlowTraining(MotionStageConfig):
    """How the flow-matching motion model is trained."""

    type: str = "flow"
    condition_dropout: float = 0.15  # of windows without speech, for guidance
    suffix_prompt_fraction: float = 0.25  # of windows whose end comes first, as a reference
    probe_weight: float = 0.5
    validate_every: int = 400_000


@dataclass(frozen=True, kw_only=True)
class StreamingEncoderTraining(StageConfig):
    """How the streaming speech encoder is distilled from the pretrained one."""

    type: str = "streaming_encoder"
    share: float = limited(0.13, 0, 1000)
    frames: int = limited(6_000_000, 0, 10**10)
    batch: int = 8  # windows
    window: int = 64  # frames of a training window
    learning_rate: float = 1e-3
    warmup: float = 0.05
    ema: float = 0.995
    features_weight: float = 0.5
    """Of the error of the features, relative to that of what the motion model reads in them."""
    latent_weight: float = 2.0
    """Of the errors of the motion model's latents and mouth, likewise: features that are as near as
    they can be may still move another mouth."""
    noise: float = 0.5  # share of windows with noise
    sounds: str = ""
    """A folder of recordings of speech that it hears beside the footage's; nobody is seen there."""
    guess_share: float = limited(0.5, 0, 1)  # of the steps that end in guesses, where it guesses
