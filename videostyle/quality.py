"""How good a painting is: pure functions over pictures, the same for a bank, a film and a peer's output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor

from videostyle.errors import UsageError
from videostyle.frame import Image
from videostyle.losses import Features, content_distance, gram, style_distance
from videostyle.perceptual import CONTENT_LAYER, STYLE_LAYERS, PerceptualNet

PICTURE_SIDE = 512
"""Longer side in pixels at which a style picture is compared: strokes have a size."""
MEASURE_EXTRA = "pip install 'videostyle[measure]'"


@dataclass(frozen=True, slots=True)
class Judgement:
    """style: 0 where texture and palette are the picture's. content: 0 where the photo's structure is untouched."""

    style: float
    content: float


def to_tensor(images: NDArray[np.uint8] | Tensor) -> Tensor:
    """uint8 (N, H, W, 3) or (H, W, 3) -> float32 (N, 3, H, W) in [0, 1]."""
    if isinstance(images, np.ndarray) and not images.flags.writeable:
        images = images.copy()  # torch warns of what it could write to
    tensor = torch.as_tensor(images)
    return (tensor if tensor.ndim == 4 else tensor[None]).permute(0, 3, 1, 2).float() / 255


def resized(image: Image, longer: int) -> Image:
    """``image`` (H, W, 3) with its longer side scaled to ``longer`` pixels."""
    height, width = image.shape[:2]
    scale = longer / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Pillow.fromarray(image).resize(size, Pillow.Resampling.LANCZOS))


def covered(image: Image, width: int, height: int) -> Image:
    """The largest centred part of ``image`` of the aspect width:height, scaled to that size."""
    h, w = image.shape[:2]
    scale = max(width / w, height / h)
    bw, bh = width / scale, height / scale
    left, top = max(0.0, (w - bw) / 2), max(0.0, (h - bh) / 2)  # rounding may lead a hair outside
    box = (left, top, w - left, h - top)
    return np.asarray(Pillow.fromarray(image).resize((width, height), Pillow.Resampling.LANCZOS, box=box))


@torch.inference_mode()
def features(image: Image, net: PerceptualNet) -> Features:
    """Activations of one picture, uint8 (H, W, 3), at all layers that are compared."""
    found: Features = net(to_tensor(image).to(net.device), (*STYLE_LAYERS, CONTENT_LAYER))
    return found


@torch.inference_mode()
def style_grams(picture: Image, net: PerceptualNet, side: int = PICTURE_SIDE) -> Mapping[str, Tensor]:
    """Gram matrices (1, C, C) of a style picture (H, W, 3) at ``side`` pixels on its longer side."""
    found = features(resized(picture, side), net)
    return {name: gram(found[name]) for name in STYLE_LAYERS}


@torch.inference_mode()
def judge(photo: Features, painting: Features, grams: Mapping[str, Tensor]) -> Judgement:
    """Style and content distance of a painting to a picture (its ``style_grams``) and to the photo it was made from.

    photo, painting: ``features`` of pictures of the same size. Style: sum over relu1_2, 2_2, 3_3, 4_3 of
    ||G - Gs||^2 / ||Gs||^2; content: ||F - Fc||^2 / ||Fc||^2 at relu3_3 (Gatys et al. 2016, relative norms).
    """
    return Judgement(float(style_distance(painting, grams)), float(content_distance(painting, photo, CONTENT_LAYER)))


def load_photos(folder: Path, names: tuple[str, ...], width: int, height: int) -> list[Image]:
    """Photos of ``folder`` cut and scaled to one size."""
    from videostyle.pictures import load_picture

    return [covered(load_picture(folder / name), width, height) for name in names]


@torch.inference_mode()
def ssim(photo: Image, painting: Image) -> float:
    """Structural similarity (Wang et al. 2004) of two pictures, uint8 (H, W, 3): 1 where they are the same.

    Raises UsageError where torchmetrics is missing.
    """
    try:
        from torchmetrics.functional.image import structural_similarity_index_measure as measure
    except ModuleNotFoundError as error:
        raise UsageError(f"SSIM and LPIPS need torchmetrics: {MEASURE_EXTRA}") from error
    found = measure(to_tensor(painting), to_tensor(photo), data_range=1.0)
    assert isinstance(found, Tensor)  # a tuple only where the whole map is asked for
    return float(found)


def load_lpips(net: str = "alex") -> Callable[[Image, Image], float]:
    """LPIPS (Zhang et al. 2018) of two pictures, uint8 (H, W, 3): 0 where they are the same.

    net: "alex", the authors' choice for measuring, "vgg" or "squeeze". Its linear layers come with torchmetrics and fit
    none but torchvision's ImageNet weights, which are downloaded once and cached.
    Raises UsageError where torchmetrics or these weights are missing.
    """
    try:
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
    except ModuleNotFoundError as error:
        raise UsageError(f"SSIM and LPIPS need torchmetrics: {MEASURE_EXTRA}") from error
    try:
        # The download tells of itself, and stdout is for figures.
        with redirect_stdout(sys.stderr):
            model = LearnedPerceptualImagePatchSimilarity(net, normalize=True)  # type: ignore[arg-type]
    except OSError as error:
        raise UsageError(
            f"LPIPS needs torchvision's ImageNet weights of its net, which could not be downloaded ({error}): go "
            f"online once, or put them into {torch.hub.get_dir()}/checkpoints"
        ) from error

    @torch.inference_mode()
    def distance(photo: Image, painting: Image) -> float:
        return float(model(to_tensor(painting), to_tensor(photo)))

    return distance
