"""Motion between two pictures, there and back: dense inverse search (Kroeger et al. 2016) and variational refinement
(Brox et al. 2004), as of OpenCV's ``DISOpticalFlow``, in less than half of its time.

OpenCV reckons four pixels at a time and goes over its planes again and again. Here loops are compiled for the processor
at hand, a patch tries no motion twice that is all but the same, and takes one step of gradient descent for four.
"""

from __future__ import annotations

import math
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
        self._work, self._room = refinement.workspace(), _Room()

    def __call__(self, start: Luma, end: Luma) -> tuple[Flow, Flow]:
        """start, end: luma, uint8 (H, W), 16 pixels or more each side, at most ``WIDEST`` wide.

        Returns the flow there, (H, W, 2), and back, (H // 2, W // 2, 2), rougher, in pixels of that size. Raises
        ValueError for another size, and for two.
        """
        sides = start.shape
        if end.shape != sides:
            raise ValueError(f"motion is looked for between pictures of one size, not {sides} and {end.shape}")
        if min(sides) < 2 * SIDE or sides[1] > WIDEST:
            raise ValueError(f"motion is looked for in pictures of {2 * SIDE} pixels or more, at most {WIDEST} wide")
        # As OpenCV has it: things move by a quarter of the picture at most.
        coarsest = max(1, min(int(np.log2(max(sides) / 32) + 0.5), int(np.log2(min(sides) // 8))))
        levels = [(start, end)]
        for _ in range(coarsest):
            levels.append((_half(levels[-1][0]), _half(levels[-1][1])))
        self._room.clear()
        pairs = [(_Level(first, self._room), _Level(second, self._room)) for first, second in levels]
        back = self._flow([pair[::-1] for pair in pairs[1:]], _ROUGH)
        return self._flow(pairs, _FINE), back

    def _flow(self, pairs: list[tuple[_Level, _Level]], rounds: tuple[int, int]) -> Flow:
        height, width = pairs[-1][0].shape
        flow = np.zeros((2, height // 2, width // 2), np.float32)
        for level, (first, second) in reversed(list(enumerate(pairs))):
            (height, width), (across, down) = first.shape, first.slopes
            found = self._room.take(loops.patches(first.shape) * loops.NUMBERS)
            loops.search(first.grey, across, down, second.grey, first.pitch, height, width, flow[0], flow[1], found)
            x, y = flow = self._room.take(2, *first.shape)
            loops.densify(first.grey, second.grey, first.pitch, found, x, y, self._room.take(3, x.size))
            turns = rounds[min(level, 1)]
            if turns:
                refinement.refine(first.grey, second.grey, loops.BORDER, first.pitch, x, y, turns, self._work)
        return np.asarray(cv2.merge(list(flow)), np.float32)


class _Room:
    """Memory that is used again for each pair of pictures: what the system gives anew, it gives page by page."""

    def __init__(self) -> None:
        self._memory, self._taken = np.zeros(0, np.float32), 0

    def clear(self) -> None:
        self._taken = 0

    def take(self, *shape: int) -> Plane:
        """Of any content."""
        size, begin = math.prod(shape), self._taken
        self._taken += -(-size // refinement.LINE) * refinement.LINE
        if self._taken > self._memory.size:  # what has been taken before keeps what it lies in
            self._memory, begin, self._taken = refinement.in_lines(2 * self._taken), 0, self._taken - begin
        return self._memory[begin : begin + size].reshape(shape)


class _Level:
    """A picture, as the loops take it."""

    def __init__(self, picture: Luma, room: _Room) -> None:
        border = (loops.BORDER, loops.BORDER + 1) * 2
        wide = cv2.copyMakeBorder(picture, *border, cv2.BORDER_REPLICATE)
        self.shape, self.pitch, self.grey, self._room = picture.shape, wide.shape[1], room.take(wide.size), room
        np.copyto(self.grey, wide.ravel())

    @cached_property
    def slopes(self) -> Plane:
        """float32 (2, H * W), across and down; nothing of use in the first and the last row."""
        found = self._room.take(2, self.grey.size)
        loops.slopes(self.grey, self.pitch, found[0], found[1])
        return found


def _half(picture: Luma) -> Luma:
    size = picture.shape[1] // 2, picture.shape[0] // 2
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
