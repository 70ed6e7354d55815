"""Pictures of another size, fast enough for every frame of a live stream."""

from __future__ import annotations

import importlib.util

import numpy as np
from PIL import Image as Pictures

from videostyle.frame import Image

# OpenCV takes a tenth of Pillow's time and comes with all that live pictures need; without it they are only slower.
_HAS_CV2 = importlib.util.find_spec("cv2") is not None


def scale(image: Image, size: tuple[int, int]) -> Image:
    """uint8 (H, W, 3) at another (width, height), bilinear, averaged where it shrinks; ``image`` itself at its own."""
    if size == image.shape[1::-1]:
        return image
    if not _HAS_CV2:
        return np.array(Pictures.fromarray(image).resize(size, Pictures.Resampling.BILINEAR))
    import cv2

    shrinks = size[0] < image.shape[1]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), np.uint8)


def fit_within(size: tuple[int, int], room: tuple[int, int]) -> tuple[int, int]:
    """The largest (width, height) in the proportions of ``size`` that fits into ``room``, at least 1x1."""
    share = min(room[0] / size[0], room[1] / size[1])
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))
