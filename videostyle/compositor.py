"""How smoothed pictures are put together at full size, in host memory; ``videostyle.temporal`` says of what.

Three pictures are kept: what was shown at the last key frame, what the net had painted there, and what was shown last.
Maps and motion come at the small size that motion is looked for in, and are enlarged here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Protocol

import cv2 as opencv
import numpy as np
from numpy.typing import NDArray

from videostyle.engines import ENGINES
from videostyle.flow import LEFT, RIGHT, RUN, Flow
from videostyle.frame import Image
from videostyle.memory import empty

cv2: Any = opencv  # its type stubs lack half of what is used here

Map = NDArray[np.float32]
"""float32 (h, w), 0 to 1, of the small size that motion is looked for in."""
SHARPER = 0.55
"""Of paintings on their way, to make up for the blur of looking them up between pixels."""
_BAND = 96
"""Rows of a band: enough for every thread to have some."""


class Compositor(Protocol):
    """Pictures of one stream. Paintings and what is returned: uint8 RGB (H, W, 3), all of the size of the one that it
    began with; ValueError for another one."""

    def begin(self, painting: Image) -> None:
        """Forget what was; this is shown, and the key frame."""
        ...

    def hold(self, painting: Image, kept: Map) -> Image:
        """So much of what was shown, the rest painting: the new picture."""
        ...

    def sharpen(self, where: Map) -> None:
        """Sharpen what is on its way, as it is about to move."""
        ...

    def compose(self, painting: Image, share: float, since: Flow, last: Flow, new: Map, held: Map) -> Image:
        """The new picture: the key frame, ``share`` of the way from what was shown to what was painted there, moved by
        ``since``; ``new`` of it replaced by the painting, of which ``held`` is what was shown last, moved by ``last``.
        """
        ...

    def turn(self, painting: Image, kept: Map) -> None:
        """Make what is shown the key frame, on its way to the painting with so much of what is shown."""
        ...


def compositor(device: str, threads: Executor | None = None) -> Compositor:
    """For paintings of an engine on ``device``: on the card where PyTorch runs there, else in host memory."""
    # By name, as engines are: what paints without PyTorch is not to wait for it.
    if device.startswith("cuda") and importlib.import_module(ENGINES["pytorch"].module).lacks(device) is None:
        made: Compositor = importlib.import_module("videostyle.compositor_card").CardCompositor(device)
        return made
    return HostCompositor(threads)


class HostCompositor:
    """By the processor, in bands of rows; ``videostyle.compositor_loops`` does what there is to do. That brings Numba,
    which takes longer to load than the first frame to paint, so it is imported when there is something to do.

    threads: to do it in; None for the calling one alone.
    """

    def __init__(self, threads: Executor | None = None) -> None:
        self._map = map if threads is None else threads.map
        self._shown = self._start = self._goal = np.zeros((0, 0, 3), np.uint8)

    def begin(self, painting: Image) -> None:
        height, width = painting.shape[:2]
        self._shown = self._start = self._goal = empty((height + 1, LEFT + width + RIGHT, 3))
        cv2.copyMakeBorder(painting, 0, 1, LEFT, RIGHT, cv2.BORDER_REPLICATE, self._shown)

    def hold(self, painting: Image, kept: Map) -> Image:
        self._shown, out = self._put(self._shown, painting, 1 - kept)
        return out

    def sharpen(self, where: Map) -> None:
        from videostyle import compositor_loops as loops

        (tall, wide, _), border = self._start.shape, ((0, 0), (1, 1))
        height, width = tall - 1, wide - LEFT - RIGHT
        maps, columns = np.pad(np.float32(256) * where, border, "edge")[:, None], loops.columns(width, where.shape[1])
        before, after = (self._start, self._goal), (empty(self._start.shape), empty(self._start.shape))
        pictures, outs = ((each[0].ravel(), each[1].ravel()) for each in (before, after))

        def sharpen(rows: slice) -> None:
            loops.sharpen(pictures, SHARPER, maps, columns, (rows.start, rows.stop), height, width, outs)

        self._each(sharpen, height)
        self._start, self._goal = after

    def compose(self, painting: Image, share: float, since: Flow, last: Flow, new: Map, held: Map) -> Image:
        self._shown, out = self._put(self._start, painting, new, since, last, held, share)
        return out

    def turn(self, painting: Image, kept: Map) -> None:
        self._start, (self._goal, _) = self._shown, self._put(self._shown, painting, 1 - kept, seen=False)

    def _put(
        self,
        carried: Image,
        painting: Image,
        new: Map,
        since: Flow | None = None,
        last: Flow | None = None,
        held: Map | None = None,
        share: float = 0.0,
        seen: bool = True,
    ) -> tuple[Image, Image]:
        """With a margin, and, if that is ``seen``, without. Nothing moves but in ``compose``."""
        from videostyle import compositor_loops as loops

        height, width = painting.shape[:2]
        if carried.shape != (height + 1, LEFT + width + RIGHT, 3):  # loops would write beyond it
            raise ValueError(f"a painting of {width}x{height} is put onto one of another size, or onto none")
        if since is None or last is None or held is None:
            since = last = np.zeros((*new.shape, 2), np.float32)
            held = np.zeros_like(new)
        maps = loops.arrange(since, last, held, new, height, width)
        columns = loops.columns(width, new.shape[1])
        if width % RUN:
            painting = np.asarray(cv2.copyMakeBorder(painting, 0, 0, 0, -width % RUN, cv2.BORDER_REPLICATE), np.uint8)
        out, tight = empty(carried.shape), empty((height, width, 3) if seen else (0, 0, 3))
        # Arrays that may not be written are of another type to Numba, and loops would be compiled once more for them.
        fresh = np.require(painting, np.uint8, ["C", "W"])
        start, goal, shown, fresh, *outs = (
            picture.ravel() for picture in (carried, self._goal, self._shown, fresh, out, tight)
        )

        def compose(rows: slice) -> None:
            band, faded = (rows.start, rows.stop), round(256 * share)
            loops.compose(start, goal, faded, shown, fresh, maps, columns, band, height, width, *outs)

        self._each(compose, height)
        return out, tight

    def _each(self, work: Callable[[slice], None], height: int) -> None:
        for _ in self._map(work, [slice(row, min(row + _BAND, height)) for row in range(0, height, _BAND)]):
            pass
