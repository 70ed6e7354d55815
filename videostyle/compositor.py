"""How smoothed pictures are put together at full size, in host memory; ``videostyle.temporal`` says of what.

Three pictures are kept: what was shown at the last key frame, what the net had painted there, and what was shown last.
Maps and motion come at the small size that motion is looked for in, and are enlarged here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from functools import partial
from itertools import pairwise
from math import gcd
from typing import Any, Protocol

import cv2 as opencv
import numpy as np
from numpy.typing import NDArray

from videostyle.engines import ENGINES
from videostyle.flow import Flow, Mask, squares
from videostyle.frame import Image

cv2: Any = opencv  # its type stubs lack half of what is used here

Map = NDArray[np.float32]
"""float32 (h, w), 0 to 1, of the small size that motion is looked for in."""
Part = tuple[slice, slice]
"""Rows and columns."""
Planes = tuple[NDArray[np.float32], NDArray[np.float32]]
"""x and y apart."""

SHARPER = 0.55
"""Of paintings on their way, to make up for the blur of looking them up between pixels."""
NEAR = np.ones((3, 3), np.uint8)
_TILE = 48
_Tile = tuple[slice, slice, bool]


class Compositor(Protocol):
    """Pictures of one stream. Paintings and what is returned: uint8 RGB (H, W, 3), all of one size."""

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
    """By OpenCV. All but the fade is done only where there is something to do.

    threads: to do it in; None for the calling one alone.
    """

    def __init__(self, threads: Executor | None = None) -> None:
        self._map = map if threads is None else threads.map
        self._shown = self._start = self._goal = np.zeros((0, 0, 4), np.uint8)

    def begin(self, painting: Image) -> None:
        self._shown = self._start = self._goal = _four(painting)

    def hold(self, painting: Image, kept: Map) -> Image:
        self._shown = onto(_four(painting), self._shown, kept)
        return _three(self._shown)

    def sharpen(self, where: Map) -> None:
        self._start, self._goal = (_sharper(picture, where) for picture in (self._start, self._goal))

    def compose(self, painting: Image, share: float, since: Flow, last: Flow, new: Map, held: Map) -> Image:
        carried = cv2.addWeighted(self._start, 1 - share, self._goal, share, 0)
        out = carried.copy()
        moved = squares(since)
        # Enlarging maps costs as much as looking up.
        if window := around(moved > 0, 2, out.shape):
            part, of = window
            at = self._grown(since[part], of)
            self._each(partial(_move, out[of], carried, at), _tiles(moved[part], out[of].shape[1::-1]))
        if window := around(new > 0, 2, out.shape):
            part, of = window
            size = out[of].shape[1::-1]
            of_new, of_held = (cv2.resize(weight[part], size) for weight in (new, held))
            renew = partial(_renew, out[of], painting[of], self._shown, self._grown(last[part], of), of_new, of_held)
            self._each(renew, _tiles(new[part], size))
        self._shown = out
        return _three(out)

    def turn(self, painting: Image, kept: Map) -> None:
        self._start, self._goal = self._shown, onto(_four(painting), self._shown, kept)

    def _each(self, work: Callable[[_Tile], None], tiles: Iterable[_Tile]) -> None:
        for _ in self._map(work, tiles):
            pass

    def _grown(self, flow: Flow, part: Part) -> Planes:
        """Places that a part of a picture flows to; flow: of that part, at a smaller size."""
        x, y = self._map(partial(_enlarged, flow, part), (0, 1))
        return x, y


def _four(picture: Image) -> Image:
    """RGBA: four channels are looked up in half the time of three."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA), np.uint8)


def _three(picture: Image) -> Image:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGBA2RGB), np.uint8)


def around(where: Mask, margin: int, of: tuple[int, ...]) -> tuple[Part, Part] | None:
    """Rows and columns of all that is set and a margin, and the same of a larger picture, where both are whole."""
    parts = list[tuple[slice, slice]]()
    for small, large, found in zip(where.shape, of, (where.any(1), where.any(0)), strict=False):
        at = np.flatnonzero(found)
        if not len(at):
            return None
        step = gcd(small, large)
        unit, grown = small // step, large // step
        first, last = max(0, int(at[0]) - margin) // unit, -(-min(small, int(at[-1]) + 1 + margin) // unit)
        parts.append((slice(first * unit, last * unit), slice(first * grown, last * grown)))
    (rows, large_rows), (columns, large_columns) = parts
    return (rows, columns), (large_rows, large_columns)


def _move(out: Image, carried: Image, at: Planes, tile: _Tile) -> None:
    rows, columns, _ = tile
    out[rows, columns] = _remapped(carried, at, rows, columns)


def _renew(out: Image, painting: Image, shown: Image, at: Planes, new: Map, held: Map, tile: _Tile) -> None:
    rows, columns, whole = tile
    fresh = _four(painting[rows, columns])
    if held[rows, columns].any():
        fresh = _between(fresh, _remapped(shown, at, rows, columns), held[rows, columns])
    out[rows, columns] = fresh if whole else _between(out[rows, columns], fresh, new[rows, columns])


def _remapped(picture: Image, at: Planes, rows: slice, columns: slice) -> Image:
    x, y = (plane[rows, columns] for plane in at)
    return np.asarray(cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _enlarged(flow: Flow, part: Part, axis: int) -> NDArray[np.float32]:
    """x or y, by axis 0 or 1."""
    rows, columns = (np.arange(of.start, of.stop, dtype=np.float32) for of in part)
    by = np.float32(len(rows) / flow.shape[0] if axis else len(columns) / flow.shape[1])
    grown = np.asarray(cv2.resize(flow[..., axis] * by, (len(columns), len(rows))), np.float32)
    grown += rows[:, None] if axis else columns
    return grown


def _sharper(picture: Image, where: Map) -> Image:
    blurred = cv2.blur(picture, (3, 3))
    return onto(picture.copy(), cv2.addWeighted(picture, 1 + SHARPER, blurred, -SHARPER, 0), where)


def _between(now: Image, past: Image, share: Map) -> Image:
    """Of a tile: ``share`` of the past, the rest of now."""
    return np.asarray(cv2.blendLinear(now, past, 1 - share, np.ascontiguousarray(share)), np.uint8)


def onto(now: Image, past: Image, weight: Map) -> Image:
    """``now``, mixed with what is past in place."""
    size = now.shape[1::-1]
    share = cv2.resize(weight, size)
    for rows, columns, whole in _tiles(weight, size):
        tile = past[rows, columns]
        now[rows, columns] = tile if whole else _between(now[rows, columns], tile, share[rows, columns])
    return now


def _tiles(weight: Map, size: tuple[int, int]) -> Iterator[_Tile]:
    """Where in a picture of (width, height) ``weight`` is more than 0, and whether it is 1 all over.

    Rows few enough to stay in the processor's cache.
    """
    left, top = (np.arange(0, side, _TILE) for side in size)
    down, across = top * weight.shape[0] // size[1], left * weight.shape[1] // size[0]
    # Resizing mixes neighbours.
    some = cv2.dilate(weight, NEAR, iterations=2) > 0
    whole = cv2.erode(weight, NEAR, iterations=2) >= 1
    kinds = np.logical_or.reduceat(np.logical_or.reduceat(some, down, 0), across, 1).astype(np.int8)
    kinds += np.logical_and.reduceat(np.logical_and.reduceat(whole, down, 0), across, 1)
    ends = np.diff(kinds, prepend=0, append=0)
    for row, of in enumerate(kinds.tolist()):
        edges = np.flatnonzero(ends[row]).tolist()
        for start, end in pairwise(edges):
            if of[start]:
                yield slice(row * _TILE, (row + 1) * _TILE), slice(start * _TILE, end * _TILE), of[start] == 2
