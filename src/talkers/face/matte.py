"""What of a picture is the person, and what lies behind (MediaPipe Selfie Segmentation)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from talkers.artefacts import pretrained
from talkers.face.landmarks import hushed, load_mediapipe

SEEN_SIDE = 256  # pixels to which the network's picture is brought
PERSON = 0.5  # of the matte, above which a pixel is the person's
MIN_COVERED = 0.9  # of a face's key points that a matte must cover to be believed
REACH = 0.02  # of the side: so near to the person nothing is taken for what lies behind
RIM = 0.006  # likewise, what is covered of it


def layers_of(
    picture: NDArray[np.uint8], points: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """The person of a picture and what lies behind.

    Args:
        picture: uint8 [P, P, 3] RGB.
        points: float32 [478, 2] key points of the person's face, shares of the side.

    Returns:
        how far each pixel is the person's, uint8 [P, P], and the picture without the person, uint8
        [P, P, 3]; None where the network does not see the person, as in a drawing or a statue.

    Raises:
        MissingComponent: mediapipe or the network cannot be had.
    """
    side = len(picture)
    planes = torch.tensor(picture).permute(2, 0, 1).float()
    seen = _resized(planes, SEEN_SIDE)
    matte = _segmented(seen.round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy())
    places = (points * SEEN_SIDE).astype(np.int64).clip(0, SEEN_SIDE - 1)
    if float((matte[places[:, 1], places[:, 0]] > PERSON).mean()) < MIN_COVERED:
        return None
    own = _connected(torch.from_numpy(matte), places)
    large = _resized(own[None], side)[0].clamp(0, 1)
    ground = _without(planes, large)
    levels = (large * 255).round().byte().numpy()
    return levels, ground.round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()


def _resized(planes: Tensor, side: int) -> Tensor:
    """[C, H, H] -> [C, side, side]."""
    return F.interpolate(planes[None], (side, side), mode="bilinear", antialias=True)[0]


def _connected(matte: Tensor, places: NDArray[np.int64]) -> Tensor:
    """The part of a matte that hangs together with the face, [H, H]: no other people, no
    patches."""
    reached = torch.zeros_like(matte)
    reached[places[:, 1], places[:, 0]] = 1
    person = (matte > PERSON).float()
    for _ in range(len(matte)):
        further = F.max_pool2d(reached[None], 5, 1, 2)[0] * person
        if torch.equal(further, reached):
            break
        reached = further
    near = F.max_pool2d(reached[None], 9, 1, 4)[0]  # its soft edge
    return matte * near


def _without(picture: Tensor, matte: Tensor) -> Tensor:
    """A picture [3, H, H] whose person is covered by colours from around (pull and push, Gortler
    et al. 1996, section 3.3)."""
    seen = (matte > 0.02).float()[None]
    covered, near = (
        F.max_pool2d(seen, 2 * reach + 1, 1, reach)
        for reach in (round(share * len(matte)) for share in (RIM, REACH))
    )
    return torch.lerp(picture, _filled(picture[None], 1 - near[None])[0], covered)


def _filled(colours: Tensor, known: Tensor) -> Tensor:
    """Colours [1, 3, H, H] where they are known, [1, 1, H, H] of 0..1, and around."""
    if min(colours.shape[2:]) < 2:
        return colours
    # pull: c' = sum k c / sum k, k' = min(1, sum k) over 2 x 2 pixels
    total = F.avg_pool2d(known, 2, ceil_mode=True)
    coarse = F.avg_pool2d(colours * known, 2, ceil_mode=True) / total.clamp(min=1e-6)
    below = _filled(coarse, (4 * total).clamp(max=1))
    # push: c = k c + (1 - k) c'
    enlarged = F.interpolate(below, colours.shape[2:], mode="bilinear")
    return torch.lerp(enlarged, colours, known)


def _segmented(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How far each pixel of [256, 256, 3] is a person's: float32 [256, 256], 0..1."""
    mediapipe = load_mediapipe("finding the person in a picture")
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageSegmenterOptions(
        base_options=BaseOptions(model_asset_buffer=_model()), output_confidence_masks=True
    )
    image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture)
    # closed at once: when the interpreter ends, mediapipe cannot do it any more
    with hushed(), vision.ImageSegmenter.create_from_options(options) as segmenter:
        masks = segmenter.segment(image).confidence_masks
        return np.array(masks[-1].numpy_view(), np.float32).reshape(SEEN_SIDE, SEEN_SIDE)


@lru_cache(1)
def _model() -> bytes:
    return _with_metadata(pretrained.fetch("selfie-segmentation").read_bytes())


def _with_metadata(model: bytes) -> bytes:
    """A TFLite model that says how pictures become its input, which MediaPipe's tasks want to be
    told: colours of 0..255 are divided by 255."""
    import flatbuffers
    from mediapipe.tasks.metadata import metadata_schema_py_generated as about
    from mediapipe.tasks.metadata import schema_py_generated as tflite

    scaled = about.NormalizationOptionsT()
    scaled.mean, scaled.std = [0.0], [255.0]
    step = about.ProcessUnitT()
    step.optionsType, step.options = about.ProcessUnitOptions.NormalizationOptions, scaled
    pixels = about.ImagePropertiesT()
    pixels.colorSpace = about.ColorSpaceType.RGB
    content = about.ContentT()
    content.contentPropertiesType = about.ContentProperties.ImageProperties
    content.contentProperties = pixels
    image, mask = about.TensorMetadataT(), about.TensorMetadataT()
    image.name, image.processUnits, image.content = "image", [step], content
    mask.name = "mask"
    graph, whole = about.SubGraphMetadataT(), about.ModelMetadataT()
    graph.inputTensorMetadata, graph.outputTensorMetadata = [image], [mask]
    whole.subgraphMetadata = [graph]
    builder = flatbuffers.Builder(0)
    builder.Finish(whole.Pack(builder), b"M001")
    held, entry = tflite.BufferT(), tflite.MetadataT()
    held.data = list(builder.Output())
    parts = tflite.ModelT.InitFromPackedBuf(bytearray(model), 0)
    parts.buffers.append(held)
    entry.name, entry.buffer = "TFLITE_METADATA", len(parts.buffers) - 1
    parts.metadata = [*(parts.metadata or []), entry]
    builder = flatbuffers.Builder(0)
    builder.Finish(parts.Pack(builder), b"TFL3")
    return bytes(builder.Output())
