"""What every engine checks in the same words."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from videostyle.errors import EngineError

CLOSED = "this engine was closed: load another"
ADVICE = "choose a smaller picture with --max-side, or a lower --precision"


def check_arguments(images: NDArray[Any], vector: NDArray[Any], style_size: int) -> NDArray[np.float32]:
    """The style vectors of a call, float32 (1 or N, P). Raises EngineError where images or vectors are malformed."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise EngineError(f"images must be uint8 (N, H, W, 3), not {images.dtype} {images.shape}")
    styles = np.atleast_2d(np.asarray(vector, np.float32))
    if styles.shape not in ((1, style_size), (len(images), style_size)):
        raise EngineError(f"style vectors for {len(images)} images cannot be of shape {vector.shape}")
    return styles


def out_of_memory(images: NDArray[np.uint8], device: str) -> EngineError:
    """The error for pictures that are too large for a device."""
    count, height, width, _ = images.shape
    return EngineError(f"{device} has not enough memory for {count} picture(s) of {width}x{height}: {ADVICE}")
