"""talkers' own components, registered by name; nothing is imported until it is used."""

from __future__ import annotations

from talkers.registry import register

_CODEC = "talkers.renderers.diffusion_autoencoder.autoencoder"
_STAGES = "talkers.systems.stages"


def register_components() -> None:
    """Register what this package brings; called once by the registry."""
    register(
        "renderer",
        "diffusion_autoencoder",
        f"{_CODEC}:CodecConfig",
        f"{_CODEC}:DiffusionAutoencoder",
    )
    drawn = "talkers.renderers.drawn"
    register("renderer", "drawn", f"{drawn}:DrawnConfig", f"{drawn}:DrawnFace")
    warp = "talkers.renderers.warp.renderer"
    register("renderer", "warp", f"{warp}:WarpConfig", f"{warp}:WarpRenderer")
    linear = "talkers.space.linear"
    register("space", "linear", f"{linear}:LinearSpaceConfig", f"{linear}:LinearSpace")
    state = "talkers.space.face_state"
    register("space", "face_state", f"{state}:FaceStateConfig", f"{state}:FaceStateSpace")
    face = "talkers.space.face_motion"
    register("space", "face_motion", f"{face}:FaceMotionConfig", f"{face}:FaceMotionSpace")
    regressor, flow = "talkers.motion.regressor", "talkers.motion.flow"
    register(
        "motion_model", "regressor", f"{regressor}:RegressorConfig", f"{regressor}:Speech2Latent"
    )
    register("motion_model", "flow", f"{flow}:FlowConfig", f"{flow}:FlowMotion")
    loudness = "talkers.motion.loudness"
    register("motion_model", "loudness", f"{loudness}:LoudnessConfig", f"{loudness}:LoudnessMotion")
    encoders = "talkers.speech.encoders"
    register("speech_encoder", "log-mel", None, f"{encoders}:LogMel")
    register("speech_encoder", "phonemes", None, "talkers.speech.phonemes:Phonemes")
    for name in ("whisper-base", "whisper-tiny.en"):
        register("speech_encoder", name, None, f"{encoders}:whisper")
    for name in ("portrait", "portrait_phonemes", "tiny_portrait"):
        register("recipe", name, None, f"talkers.systems.portrait:{name}")
    for name in ("compact", "compact_512", "dae_talker", "dae_talker_128", "tiny"):
        register("recipe", name, None, f"talkers.systems.dae_talker:{name}")
    for name in ("lips-pixels", "lips-points", "sync-pixels", "sync-points"):
        register("expert", name, None, "talkers.experts.load:load_registered")
    for name, metric in (
        ("fidelity", "fidelity:Fidelity"),
        ("movement", "motion:Movement"),
        ("bilabial_closure", "closure:BilabialClosure"),
        ("csim", "identity:FaceSimilarity"),
        ("mobilenet", "perceptual:MobileNetDistances"),
        ("lpips", "perceptual:Lpips"),
        ("fid", "perceptual:InceptionFeatures"),
    ):
        register("metric", name, None, f"talkers.evaluation.{metric}")
    for name, config, stage in (
        ("renderer", "RendererTraining", "talkers.training.renderer_stage:RendererStage"),
        (
            "motion_model",
            "MotionModelTraining",
            "talkers.training.motion_stage:MotionModelStage",
        ),
        ("warp", "WarpTraining", "talkers.training.warp_stage:WarpStage"),
        ("codec", "CodecTraining", "talkers.training.codec_stage:CodecStage"),
        ("regressor", "RegressorTraining", "talkers.training.regressor_stage:RegressorStage"),
        ("flow", "FlowTraining", "talkers.training.flow_stage:FlowStage"),
        (
            "streaming_encoder",
            "StreamingEncoderTraining",
            "talkers.training.speech_stage:StreamingEncoderStage",
        ),
    ):
        register("stage", name, f"{_STAGES}:{config}", stage)
    dialogues = "talkers.dialogue.dialogues"
    for name, made in (
        ("echo", "Echo"),
        ("plain", "plain"),
        ("critics", "with_critics"),
        ("empathy", "with_empathy"),
        ("empathy-critics", "with_both"),
    ):
        register("dialogue", name, None, f"{dialogues}:{made}")
    embedded = "talkers.dialogue.embedded:load_embedded"
    register("language_model", "smollm2-135m-instruct", None, embedded)
    for name in ("persona", "relevance", "contradiction", "parroting", "fluency"):
        register("critic", name, None, f"talkers.dialogue.critics:{name}_critic")
