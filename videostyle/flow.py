"""Optical flow: where each pixel of a picture is in another one, and which of them can be found there at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2 as opencv
import numpy as np
from numpy.typing import NDArray

from videostyle.errors import SourceError
from videostyle.frame import Image

cv2: Any = opencv  # its type stubs lack half of what is used here

Flow = NDArray[np.float32]
"""float32 (H, W, 2): x and y in pixels from each pixel of one picture to the same thing in another."""
Mask = NDArray[np.bool_]
"""bool (H, W)."""

RUN = 4
"""Pixels of a row that move as one, by what their middle moves, where pictures are moved at full size: they are looked
up together, in a third of the time on a processor. What is left of flicker grows by a 50th."""
LEFT, RIGHT = RUN, RUN + 3
"""Margin of pictures that runs are looked up in, in pixels: for what is beside a run, and read with it."""
UNKNOWN = 1e9
"""Middlebury's mark: flow above it is unknown."""
_FLO_TAG = 202021.25
SLOPE = np.array([[-0.5, 0, 0.5]], np.float32)
"""Filters a row to its slope; its transpose, a column."""


class DenseFlow:
    """Dense inverse search (Kroeger et al. 2016) by OpenCV, smoothed more than by default.

    Not shared between threads: it keeps buffers.
    """

    def __init__(self) -> None:
        self._search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        # On a webcam's noise the default of 20 sees motion boundaries in a sixth of a wall that stands still.
        self._search.setVariationalRefinementAlpha(60)

    def __call__(self, start: NDArray[np.uint8], end: NDArray[np.uint8]) -> Flow:
        """Flow from ``start`` to ``end``, both luma (H, W), 12 pixels or more each side."""
        return np.asarray(self._search.calc(start, end, None), np.float32)


def runs(width: int, small: int, inside: float = RUN / 2) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each RUN of a row of ``width`` pixels, and one more, where what is so many pixels ``inside`` of it lies in a
    row of ``small``, whose outermost pixels are there twice: the pixel before it, and how far it is to the next."""
    places = np.minimum((np.arange(0, width + RUN, RUN) + inside) * (small / width) + 0.5, small)
    before = places.astype(np.int64)
    return before, (places - before).astype(np.float32)


def luma(image: Image) -> NDArray[np.uint8]:
    """uint8 (H, W): BT.601 luma of RGB (H, W, 3), which OpenCV has at hand; for flow any would do."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def places(flow: Flow) -> NDArray[np.float32]:
    """float32 (H, W, 2): the x, y that each pixel flows to, as ``warp`` takes them."""
    height, width = flow.shape[:2]
    at = np.array(flow, np.float32)
    at[..., 0] += np.arange(width, dtype=np.float32)
    at[..., 1] += np.arange(height, dtype=np.float32)[:, None]
    return at


def warp(picture: NDArray[np.float32], at: NDArray[np.float32]) -> NDArray[np.float32]:
    """``picture``, float32 (H, W) or (H, W, C), looked up bilinearly at ``places``; edges repeat outside."""
    return np.asarray(cv2.remap(picture, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def visible(there: Flow, back: Flow) -> Mask:
    """Which pixels of the start are in the end too, and not at the edge of a motion.

    there: flow from start to end. back: from end to start.

    A pixel is hidden where the way there and back does not lead home, |w + w'|^2 > 0.01 (|w|^2 + |w'|^2) + 0.5
    (Sundaram et al. 2010), or leads out of the picture, and at motion boundaries, |grad u|^2 + |grad v|^2 >
    0.01 |w|^2 + 0.002, with the constants of Ruder et al. 2016.
    """
    height, width = there.shape[:2]
    at = places(there)
    home = warp(back, at)
    lost = squares(there + home) > 0.01 * (squares(there) + squares(home)) + 0.5
    x, y = at[..., 0], at[..., 1]
    outside = (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)
    return np.asarray(~(lost | outside | motion_boundary(there)), bool)


def motion_boundary(flow: Flow) -> Mask:
    """Where the motion changes from one pixel to the next, as ``visible`` says."""
    slopes = squares(cv2.filter2D(flow, -1, SLOPE)) + squares(cv2.filter2D(flow, -1, SLOPE.T))
    return np.asarray(slopes > 0.01 * squares(flow) + 0.002, bool)


def squares(flow: Flow) -> NDArray[np.float32]:
    """float32 (H, W): the squared length of each vector."""
    x, y = flow[..., 0], flow[..., 1]
    return np.asarray(x * x + y * y, np.float32)


def end_point_error(flow: Flow, truth: Flow, where: Mask | None = None) -> float:
    """Mean distance in pixels between flow and known flow, where the latter is known (and ``where`` holds)."""
    known = np.abs(truth).max(-1) < UNKNOWN
    known = known if where is None else known & where
    return float(np.linalg.norm(flow[known] - truth[known], axis=-1).mean())


def read_flow(path: Path) -> Flow:
    """Known flow from a file, 2e9 where it is unknown: Middlebury's .flo or KITTI's 16-bit PNG.

    Raises SourceError for a file that is neither.
    """
    if path.suffix == ".png":
        coded = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if coded is None or coded.dtype != np.uint16 or coded.ndim != 3:
            raise SourceError(f"{path} is no flow: KITTI's PNG has three channels of 16 bits")
        flow: Flow = (coded[..., :0:-1].astype(np.float32) - 32768) / 64
        flow[coded[..., 0] == 0] = 2 * UNKNOWN
        return flow
    raw = np.fromfile(path, "<f4")
    width, height = raw[1:3].view("<i4") if len(raw) > 3 and raw[0] == _FLO_TAG else (0, 0)
    if width * height == 0 or len(raw) != 3 + 2 * width * height:
        raise SourceError(f"{path} is no flow: .flo begins with {_FLO_TAG} and is as long as its size says")
    return np.asarray(raw[3:].reshape(height, width, 2), np.float32)
