"""Motion between two pictures, there and back: dense inverse search (Kroeger et al. 2016) and variational refinement
(Brox et al. 2004), as of OpenCV's ``DISOpticalFlow``, in less than half of its time.

OpenCV reckons four pixels at a time and goes over its planes again and again. Here loops are compiled for the processor
at hand, a patch tries no motion twice that is all but the same, and takes one step of gradient descent for four.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import cv2 as opencv
import numpy as np
from numpy.typing import NDArray

from videostyle import dense_search_loops as loops
from videostyle import refinement
from videostyle.flow import Flow
from videostyle.vectors import SIDE

cv2: Any = opencv  # its type stubs lack half of what is used here

Plane = NDArray[np.float32]
Luma = NDArray[np.uint8]

WIDEST = refinement.WIDEST
_FINE, _ROUGH = (3, 1), (0, 0)
"""Rounds of refinement at the size of the pictures, and at the smaller ones."""


class DenseSearch:
    """Flow from a picture to another one and back. Not shared between threads: it keeps buffers."""

    def __init__(self) -> None:
        self._work = refinement.workspace()

    def __call__(self, start: Luma, end: Luma) -> tuple[Flow, Flow]:
        """start, end: luma, uint8 (H, W), 16 pixels or more each side, at most ``WIDEST`` wide.

        Returns the flow there, (H, W, 2), and back, (H // 2, W // 2, 2), rougher, in pixels of that size. Raises
        ValueError for another size.
        """
        sides = start.shape
        if min(sides) < 2 * SIDE or sides[1] > WIDEST:
            raise ValueError(f"motion is looked for in pictures of {2 * SIDE} pixels or more, at most {WIDEST} wide")
        # As OpenCV has it: things move by a quarter of the picture at most.
        coarsest = max(1, min(int(np.log2(max(sides) / 32) + 0.5), int(np.log2(min(sides) // 8))))
        levels = [(start, end)]
        for _ in range(coarsest):
            levels.append((_half(levels[-1][0]), _half(levels[-1][1])))
        pairs = [(_Level(first), _Level(second)) for first, second in levels]
        back = self._flow([pair[::-1] for pair in pairs[1:]], _ROUGH)
        return self._flow(pairs, _FINE), back

    def _flow(self, pairs: list[tuple[_Level, _Level]], rounds: tuple[int, int]) -> Flow:
        x, y = np.zeros((2, *pairs[-1][0].shape), np.float32)
        for level, (first, second) in reversed(list(enumerate(pairs))):
            x, y = (of if of.shape == first.shape else 2 * cv2.resize(of, first.shape[::-1]) for of in (x, y))
            found = np.empty(loops.patches(first.shape) * loops.NUMBERS, np.float32)
            across, down = first.slopes
            loops.search(first.grey, across, down, second.grey, first.pitch, x, y, found)
            loops.densify(first.grey, second.grey, first.pitch, found, x, y, np.empty((3, x.size), np.float32))
            turns = rounds[min(level, 1)]
            if turns:
                refinement.refine(first.grey, second.grey, loops.BORDER, first.pitch, x, y, turns, self._work)
        return np.asarray(cv2.merge([x, y]), np.float32)


class _Level:
    """A picture, as the loops take it."""

    def __init__(self, picture: Luma) -> None:
        border = (loops.BORDER, loops.BORDER + 1) * 2
        grey = cv2.copyMakeBorder(picture, *border, cv2.BORDER_REPLICATE).astype(np.float32)
        self.shape, self.pitch, self.grey = picture.shape, grey.shape[1], grey.ravel()

    @cached_property
    def slopes(self) -> Plane:
        """float32 (2, H * W), across and down."""
        found = np.zeros((2, self.grey.size), np.float32)
        loops.slopes(self.grey, self.pitch, found[0], found[1])
        return found


def _half(picture: Luma) -> Luma:
    size = picture.shape[1] // 2, picture.shape[0] // 2
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
