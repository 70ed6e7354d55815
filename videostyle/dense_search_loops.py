"""Where patches of a picture are in another one: the loops of ``videostyle.dense_search``.

Pictures are float32, flat, with a border of ``BORDER`` pixels and rows of ``pitch``.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from videostyle.compiled import at, compiled, f32, i32, index, part, single
from videostyle.vectors import SIDE, cover, differ, moments

Plane = NDArray[np.float32]

BORDER = 16
_STRIDE = 5
"""Pixels from one patch to the next."""
_STEP = single(1 - (7 / 8) ** 4)
"""Share of Gauss and Newton's step, lest noise move what has little to hold on to: what OpenCV's four steps come to,
each an eighth, for its slopes are eight times as steep as what they stand for."""
_ALIKE = single(0.1)
"""Pixels by which a neighbour's motion has to be another one to be tried."""
_LEAST, _WORST = single(1e-6), single(1e30)
"""Of a patch's determinant: it has nothing to hold on to; and of its fit, before it has been tried."""
_ONE, _PIXELS = index(1), single(SIDE * SIDE)
_U, _V, _FIT, _ALONG, _OVER, _XX, _XY, _YY, _MEAN_X, _MEAN_Y = (index(number) for number in range(10))
NUMBERS = 10
"""Of a patch: its flow, how badly it fits, half of that's slopes, the inverse of its Hessian, means of its slopes."""


def patches(shape: tuple[int, ...]) -> int:
    """Of a picture; those at its right and its lower end lie at its edge."""
    return math.prod(-(-(side - SIDE) // _STRIDE) + 1 for side in shape)


@compiled
def slopes(grey: Plane, pitch: int, across: Plane, down: Plane) -> None:
    """After Sobel, per pixel."""
    pitch, eighth = at(pitch), f32(0.125)
    for i in range(pitch + _ONE, at(grey.size) - pitch - _ONE):
        a, b, c = grey[i - pitch - _ONE], grey[i - pitch], grey[i - pitch + _ONE]
        d, e = grey[i - _ONE], grey[i + _ONE]
        f, g, h = grey[i + pitch - _ONE], grey[i + pitch], grey[i + pitch + _ONE]
        across[i] = eighth * (c + e + e + h - a - d - d - f)
        down[i] = eighth * (f + g + g + h - a - b - b - c)


@compiled
def search(
    first: Plane, across: Plane, down: Plane, second: Plane, pitch: int, height: int, width: int, x: Plane, y: Plane,
    found: Plane,
) -> None:  # fmt: skip
    """Search for all patches of the first picture in the second one, beginning from the flow x, y of half of the size,
    float32 (H // 2, W // 2): from the upper left on, each tries what those above and at its left have found, and then
    back from the lower right.

    across, down: ``slopes`` of the first. found: float32, flat, NUMBERS for each patch.
    """
    height, width = i32(height), i32(width)
    rows, columns = _count(height), _count(width)
    _inspect(across, down, pitch, height, width, x, y, found)
    for onward in (True, False):
        step = at(NUMBERS if onward else -NUMBERS)
        for line in range(rows):
            row = i32(line) if onward else rows - i32(1) - i32(line)
            top = _corner(row, height)
            for place in range(columns):
                column = i32(place) if onward else columns - i32(1) - i32(place)
                left, k = _corner(column, width), at(NUMBERS) * at(row * columns + column)
                if onward:
                    u, v = found[k + _U], found[k + _V]
                    _try(first, across, down, second, pitch, height, width, top, left, u, v, found, k)
                for above in range(2):
                    if line if above else place:
                        other = k - step * at(columns) if above else k - step
                        u, v = found[other + _U], found[other + _V]
                        if abs(u - found[k + _U]) + abs(v - found[k + _V]) > _ALIKE:
                            _try(first, across, down, second, pitch, height, width, top, left, u, v, found, k)
                along, over = found[k + _ALONG], found[k + _OVER]
                u = _STEP * (found[k + _XX] * along + found[k + _XY] * over)
                v = _STEP * (found[k + _XY] * along + found[k + _YY] * over)
                if u * u + v * v < _PIXELS:
                    u, v = found[k + _U] - u, found[k + _V] - v
                    _try(first, across, down, second, pitch, height, width, top, left, u, v, found, k)


@part
def _count(side: int) -> int:
    return (side - i32(SIDE - _STRIDE + 1)) // i32(_STRIDE) + i32(1)


@part
def _corner(line: int, side: int) -> int:
    return min(i32(line) * i32(_STRIDE), i32(side) - i32(SIDE))


@compiled
def _inspect(
    across: Plane, down: Plane, pitch: int, height: int, width: int, x: Plane, y: Plane, found: Plane
) -> None:  # fmt: skip
    pitch, k, half = at(pitch), at(0), f32(0.5)
    for row in range(_count(height)):
        top = at(_corner(row, height))
        for column in range(_count(width)):
            left = at(_corner(column, width))
            here = (top + at(BORDER)) * pitch + left + at(BORDER)
            to_x, xx, _, xy = moments(across, across, down, here, pitch)
            to_y, yy, _, _ = moments(down, across, down, here, pitch)
            area = max(xx * yy - xy * xy, _LEAST)
            found[k + _XX], found[k + _XY], found[k + _YY] = yy / area, -xy / area, xx / area
            found[k + _MEAN_X], found[k + _MEAN_Y] = to_x / _PIXELS, to_y / _PIXELS
            # Of the pixels around its middle, in pixels of twice their size.
            up, low = (top + at(SIDE // 2 - 1)) >> _ONE, (top + at(SIDE // 2)) >> _ONE
            west, east = (left + at(SIDE // 2 - 1)) >> _ONE, (left + at(SIDE // 2)) >> _ONE
            found[k + _U] = half * (x[up, west] + x[up, east] + x[low, west] + x[low, east])
            found[k + _V] = half * (y[up, west] + y[up, east] + y[low, west] + y[low, east])
            found[k + _FIT] = _WORST
            k += at(NUMBERS)


@compiled
def _try(
    first: Plane, across: Plane, down: Plane, second: Plane, pitch: int, height: int, width: int, top: int, left: int,
    u: float, v: float, found: Plane, k: int,
) -> None:  # fmt: skip
    """Move patch k to u, v, if it fits there better."""
    here = at(top + BORDER) * at(pitch) + at(left + BORDER)
    there, a, b = _where(top, left, height, width, pitch, u, v)
    total, square, along, over = differ(first, across, down, here, second, there, at(pitch), a, b)
    fit = square - total * total / _PIXELS  # it may have become brighter as a whole
    if fit < found[k + _FIT]:
        found[k + _U], found[k + _V], found[k + _FIT] = u, v, fit
        found[k + _ALONG] = along - total * found[k + _MEAN_X]
        found[k + _OVER] = over - total * found[k + _MEAN_Y]


@part
def _where(top: int, left: int, height: int, width: int, pitch: int, u: float, v: float) -> tuple[int, float, float]:
    """Of the patch moved by u, v, but not out of the picture: its first pixel, and how far right and below of it."""
    x = min(max(f32(left) + u, f32(1 - SIDE)), f32(width - i32(1))) + f32(BORDER)
    y = min(max(f32(top) + v, f32(1 - SIDE)), f32(height - i32(1))) + f32(BORDER)
    column, line = i32(x), i32(y)
    return at(line) * at(pitch) + at(column), x - f32(column), y - f32(line)


@compiled
def densify(first: Plane, second: Plane, pitch: int, found: Plane, x: Plane, y: Plane, sums: Plane) -> None:
    """The flow x, y of each pixel: of all patches that cover it, the more the better they fit there.

    sums: float32 (3, H * W).
    """
    height, width = i32(x.shape[0]), i32(x.shape[1])
    sums[:] = 0
    k = at(0)
    for row in range(_count(height)):
        top = _corner(row, height)
        for column in range(_count(width)):
            left, u, v = _corner(column, width), found[k + _U], found[k + _V]
            here = at(top + BORDER) * at(pitch) + at(left + BORDER)
            there, a, b = _where(top, left, height, width, pitch, u, v)
            to = at(top) * at(width) + at(left)
            cover(first, here, second, there, at(pitch), a, b, u, v, sums[0], sums[1], sums[2], to, at(width))
            k += at(NUMBERS)
    across, down, total, u, v = sums[0], sums[1], sums[2], x.ravel(), y.ravel()
    for i in range(at(x.size)):
        share = f32(1) / total[i]
        u[i], v[i] = share * across[i], share * down[i]
