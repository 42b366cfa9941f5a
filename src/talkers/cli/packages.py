"""The packages that talkers needs, and the extras that bring them."""

from __future__ import annotations

PACKAGES = (  # module, distribution, what needs it, extra that brings it
    ("torch", "torch", "everything", ""),
    ("av", "av", "reading and writing video", ""),
    ("c2pa", "c2pa-python", "signing videos, verify", ""),
    ("cryptography", "cryptography", "signing videos", ""),
    ("transformers", "transformers", "speech encoders of a model hub", "encoders"),
    ("mediapipe", "mediapipe", "check, prepare, reconstruct", "prepare"),
    ("pyarrow", "pyarrow", "prepare, train, evaluate", "prepare"),
    ("pytorch_lightning", "pytorch-lightning", "train, evaluate", "train"),
    ("torchmetrics", "torchmetrics", "evaluate", "evaluate"),
    ("scipy", "scipy", "evaluate", "evaluate"),
    ("matplotlib", "matplotlib", "evaluate: the report's figures", "evaluate"),
    ("jinja2", "jinja2", "evaluate: the report", "evaluate"),
    ("pocketsphinx", "pocketsphinx", "evaluate: bilabial closure", "evaluate"),
    ("dlib", "dlib-bin", "evaluate: identity (CSIM)", "evaluate"),
    ("piper", "piper-tts", "say", "say"),
    ("onnxruntime", "onnxruntime", "say", "say"),
    ("pipecat", "pipecat-ai", "faces for agents of pipecat", "pipecat"),
    ("livekit", "livekit-agents", "faces for agents of LiveKit", "livekit"),
    ("tokenizers", "tokenizers", "chat", "chat"),
    ("fastapi", "fastapi", "serve", "serve"),
    ("uvicorn", "uvicorn", "serve", "serve"),
    ("websockets", "websockets", "serve: live faces", "serve"),
    ("python_multipart", "python-multipart", "serve: uploads", "serve"),
    ("ray", "ray", "--ray: a cluster", "scale"),
    ("fsspec", "fsspec", "files in stores, such as s3://", "scale"),
    ("prometheus_client", "prometheus-client", "serve: what is counted", "serve"),
    ("aiortc", "aiortc", "live", "live"),
)


def extra_of(module: str) -> str:
    """The extra of talkers that brings a module; empty where every installation has it."""
    return next((extra for name, _, _, extra in PACKAGES if name == module), "")
