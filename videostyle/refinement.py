"""Flow that fits two pictures and is smooth: variational refinement (Brox et al. 2004) as OpenCV has it, in half of the
time.

Planes are kept row for row, one after the other, at distances that are known when loops are compiled, so that eight
pixels are reckoned at a time without asking first whether planes overlap. Of each row the even columns come first, then
the odd ones: neighbours, which depend on one another, are then apart, and each half is solved at once (red-black
successive over-relaxation). All that is done goes down the picture together, each thing a row behind what it needs, and
rows are kept only for as long as they are needed, in a ring, so that they stay in the processor's cache.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from videostyle.compiled import at, compiled, f32, i32, part
from videostyle.vectors import SIDE, Lanes, Row, along, sample, split

Plane = NDArray[np.float32]

_SMOOTH, _GREY, _SLOPE = 30.0, 2.5, 5.0
"""Weights of neighbours that move alike, of pixels that stay as bright, and whose slopes stay."""
_ROBUST, _FLAT = 1e-4, 0.01
"""Squares: below the first, differences count by their square and beyond it by their size; to the second, slopes say
nothing."""
RELAX, SWEEPS = 1.88, 2 * 3
"""Over-relaxation, and times that half of the pixels are solved. OpenCV's 1.6 and ten leave more flicker."""
WIDEST = 1024
"""Pixels that a picture may be wide."""
LINE = 16
"""Floats of a line of the processor's cache."""
_PAD, _BLOCK = 16, 16
"""Before and after each half of a row there is a pad; and its pixels are done a block at a time."""
_HALF = WIDEST // 2 + 2 * _PAD
_WHOLE = 2 * _HALF
_T, _X, _Y, _XX, _XY, _YX, _YY, _XT, _YT, _U, _V, _DU, _DV, _W, _A, _B, _C, _P, _Q = (k * _WHOLE for k in range(19))
_GX, _GY, _GT = (k * _WHOLE for k in (19, 20, 21))
"""Planes: change over time, slopes of the mean of both pictures, their slopes, those of the change; flow, what is added
to it, how firmly a pixel is bound to those at its right and below; of the equations a du + b dv = p and
b du + c dv = q, with 1 / a and 1 / c; and the first three, over the size of the slopes."""
_MEAN = _A
_ROW = 22 * _WHOLE
_LAG, MOST = SWEEPS + 1, 5
_RING = 64
"""Rows that are kept: more than those between the first thing that is done to one and the last."""
_EVEN, _ODD = (0, _HALF - 1, _HALF), (_HALF, -_HALF, 1 - _HALF)
"""Of even and odd columns: where they begin, and how far it is to what is at their left and right."""


def workspace() -> Plane:
    """What ``refine`` needs, to be used again and again."""
    return in_lines(_RING * _ROW)


def in_lines(size: int) -> Plane:
    """Zeros that begin where a line of the cache does: vectors that lie in two take twice as long."""
    room = np.zeros(size + LINE, np.float32)
    start = -room.ctypes.data % (4 * LINE) // 4
    return room[start : start + size]


def refine(
    first: Plane, second: Plane, border: int, pitch: int, x: Plane, y: Plane, rounds: int, work: Plane
) -> None:  # fmt: skip
    """Refine the flow x, y from the first picture to the second one, in place.

    first, second: luma, 0 to 255, flat, rows of ``pitch`` pixels, with so much border all around. x, y: float32 (H, W),
    at most ``WIDEST`` wide. rounds: times that weights are taken anew, at most ``MOST``. work: of ``workspace``.
    """
    half = -(-x.shape[1] // 2)
    count = -(-half // _BLOCK) * _BLOCK  # whole blocks; what is too much, is not solved
    _refine(first, second, border, pitch, x, y, rounds, work, count)


@compiled
def _refine(
    first: Plane, second: Plane, border: int, pitch: int, x: Plane, y: Plane, rounds: int, work: Plane, count: int
) -> None:  # fmt: skip
    height, width, count, pitch, rounds = at(x.shape[0]), at(x.shape[1]), at(count), at(pitch), at(rounds)
    ends = _place(width - at(1)), _place(width)
    corner, sweeps = at(border) * (pitch + at(1)), at(SWEEPS)
    _clear(work, at(_DU), _begin(0))
    _clear(work, at(_DV), _begin(0))
    _clear(work, at(_W), _begin(0))
    # A row is counted from the one above the picture on; -1 is beyond any.
    for row in range(at(1), height + at(3) + rounds * at(_LAG)):
        if row <= height:
            _sample(first, second, corner, pitch, x, y, row - at(1), height, count, work)
        _surround(work, (at(_MEAN), at(_T), at(_U), at(_V)), row, height, ends)
        if at(2) <= row <= height + at(1):
            _slopes_even(work, *_places(row - at(1)), count, f32(0))
            _slopes_odd(work, *_places(row - at(1)), count, f32(0))
            _surround(work, (at(_X), at(_Y)), row - at(1), height, ends)
            if row == height + at(1):
                _surround(work, (at(_X), at(_Y)), row, height, ends)
        if at(3) <= row <= height + at(2):
            _curves_even(work, *_places(row - at(2)), count, f32(0))
            _curves_odd(work, *_places(row - at(2)), count, f32(0))
        for turn in range(rounds):
            # A row is weighed anew once that above and that below it are solved.
            weighed = at(max(i32(row) - i32(2) - i32(turn) * i32(_LAG), i32(0)))
            if at(0) < weighed <= height:
                _weigh(work, weighed, height, width, count)
            for sweep in range(sweeps):
                if sweep < weighed <= height + sweep:
                    if weighed & at(1):
                        _solve_even(work, *_places(weighed - sweep), count, f32(0))
                    else:
                        _solve_odd(work, *_places(weighed - sweep), count, f32(0))
        solved = i32(row) - i32(2) - i32(rounds - at(1)) * i32(_LAG) - i32(SWEEPS)
        if rounds and i32(1) <= solved <= i32(height):
            _add(work, at(solved), x, y)


@part
def _begin(row: int) -> int:
    return at(row) % at(_RING) * at(_ROW) + at(_PAD)


@part
def _place(column: int) -> int:
    """Of a column, in its row."""
    return (column >> at(1)) + (column & at(1)) * at(_HALF)


@part
def _places(row: int) -> tuple[int, int, int]:
    """Of a row, and of those above and below."""
    return _begin(row), _begin(row - at(1)), _begin(row + at(1))


@part
def _add(work: Plane, row: int, x: Plane, y: Plane) -> None:
    i, width = _begin(row), at(x.shape[1])
    for column in range(width):
        k = i + _place(column)
        x[row - at(1), column] += work[k + at(_DU)]
        y[row - at(1), column] += work[k + at(_DV)]


@part
def _sample(
    first: Plane, second: Plane, corner: int, pitch: int, x: Plane, y: Plane, row: int, height: int, count: int,
    work: Plane,
) -> None:  # fmt: skip
    """A row of the flow, of the mean of both pictures, and of what is between them."""
    width, to = at(x.shape[1]), _begin(row + at(1))
    _halve(x, row * width, width, work, to + at(_U), count)
    _halve(y, row * width, width, work, to + at(_V), count)
    _halve(first, corner + row * pitch, width, work, to + at(_T), count)
    right, bottom, line = f32(i32(width) - 1), f32(i32(height) - 1), f32(i32(row))
    for half in range(at(2)):
        here = to + half * at(_HALF)
        u, v, t, mean = here + at(_U), here + at(_V), here + at(_T), here + at(_MEAN)
        sample(work, u, v, t, mean, count, f32(i32(half)), line, right, bottom, second, corner, pitch)
    for k in range(count):
        work[to + k + at(_DU)], work[to + k + at(_DU + _HALF)] = 0, 0
        work[to + k + at(_DV)], work[to + k + at(_DV + _HALF)] = 0, 0


@part
def _halve(plane: Plane, start: int, width: int, work: Plane, to: int, count: int) -> None:
    """A row's even columns, and its odd ones; then the last one again and again."""
    whole, values = width // at(2 * SIDE) * at(SIDE), plane.ravel()
    split(values, start, whole, work, to, to + at(_HALF), f32(1), f32(1))
    for k in range(whole, count):
        work[to + k] = values[start + min(at(2) * k, width - at(1))]
        work[to + k + at(_HALF)] = values[start + min(at(2) * k + at(1), width - at(1))]


@part
def _surround(work: Plane, planes: tuple[int, ...], row: int, height: int, ends: tuple[int, int]) -> None:
    """What is outside of a row, or the rows above the first and below the last, are as what is beside them. ends: the
    last column, and the one after it."""
    for plane in planes:
        if row <= height:
            to = _begin(row) + plane
            work[to + at(_HALF - 1)] = work[to]
            work[to + ends[1]] = work[to + ends[0]]
        if row == 1:
            _copy(work, plane, _begin(1), _begin(0))
        if row == height + at(1):
            _copy(work, plane, _begin(height), _begin(row))


@part
def _copy(work: Plane, plane: int, start: int, to: int) -> None:
    for k in range(at(_WHOLE)):
        work[to + plane + k - at(_PAD)] = work[start + plane + k - at(_PAD)]


@part
def _clear(work: Plane, plane: int, to: int) -> None:
    for k in range(at(_WHOLE)):
        work[to + plane + k - at(_PAD)] = 0


@compiled
def _weigh(work: Plane, row: int, height: int, width: int, count: int) -> None:
    """A row's equations, weighed by how well it fits and how smooth it is now."""
    (to, above, below), last = _places(row), row == height
    du, dv, w, a, c = at(_DU), at(_DV), at(_W), at(_A), at(_C)
    edge, beyond = to + _place(width - at(1)), to + _place(width)
    # Outside, flow is as beside it while smoothness is looked at, and 0 while the equations are solved.
    work[beyond + du], work[beyond + dv] = work[edge + du], work[edge + dv]
    if last:
        _copy(work, du, to, below)
        _copy(work, dv, to, below)
    _bind_even(work, to, above, below, count, f32(0))
    _bind_odd(work, to, above, below, count, f32(0))
    work[beyond + du], work[beyond + dv] = 0, 0
    if last:
        _clear(work, du, below)
        _clear(work, dv, below)
    further = f32(0) if last else f32(1)
    _equations_even(work, to, above, below, count, further)
    _equations_odd(work, to, above, below, count, further)
    outside = work[edge + w]
    work[edge + a] /= f32(1) - outside * work[edge + a]
    work[edge + c] /= f32(1) - outside * work[edge + c]
    for column in range(width, at(2) * count):
        k = to + _place(column)
        work[k + a], work[k + c] = 0, 0


def _slopes(half: int, left: int, right: int, row: Row, _: Lanes) -> None:
    at = row.of(half)
    at[_X], at[_Y] = at[_MEAN + right] - at[_MEAN + left], at.below[_MEAN] - at.above[_MEAN]
    at[_XT], at[_YT] = at[_T + right] - at[_T + left], at.below[_T] - at.above[_T]


def _curves(half: int, left: int, right: int, row: Row, _: Lanes) -> None:
    """Slopes of slopes; and all of them, and what they are compared with, over the size of what they are slopes of."""
    at = row.of(half)
    xx, xy, yy = at[_X + right] - at[_X + left], at.below[_X] - at.above[_X], at.below[_Y] - at.above[_Y]
    x, y = at[_X], at[_Y]
    by, by_x, by_y = ((a * a + b * b + _FLAT).rsqrt() for a, b in ((x, y), (xx, xy), (yy, xy)))
    at[_GX], at[_GY], at[_GT] = by * x, by * y, by * at[_T]
    at[_XX], at[_XY], at[_XT] = by_x * xx, by_x * xy, by_x * at[_XT]
    at[_YX], at[_YY], at[_YT] = by_y * xy, by_y * yy, by_y * at[_YT]


def _bind(half: int, left: int, right: int, row: Row, _: Lanes) -> None:
    at = row.of(half)
    u, v = at[_U] + at[_DU], at[_V] + at[_DV]
    ux, vx = at[_U + right] + at[_DU + right] - u, at[_V + right] + at[_DV + right] - v
    uy, vy = at.below[_U] + at.below[_DU] - u, at.below[_V] + at.below[_DV] - v
    at[_W] = _SMOOTH * (ux * ux + uy * uy + vx * vx + vy * vy + _ROBUST).rsqrt()


def _equations(half: int, left: int, right: int, row: Row, further: Lanes) -> None:
    at = row.of(half)
    x, y, t, du, dv = at[_GX], at[_GY], at[_GT], at[_DU], at[_DV]
    xx, xy, xt, yx, yy, yt = at[_XX], at[_XY], at[_XT], at[_YX], at[_YY], at[_YT]
    off, off_x, off_y = t + x * du + y * dv, xt + xx * du + xy * dv, yt + yx * du + yy * dv
    grey = _GREY * (off * off + _ROBUST).rsqrt()
    slopes = _SLOPE * (off_x * off_x + off_y * off_y + _ROBUST).rsqrt()
    east, west, north = at[_W], at[_W + left], at.above[_W]
    south = east * further
    around = east + west + south + north + _FLAT
    u, v = at[_U], at[_V]
    p = east * (at[_U + right] - u) + west * (at[_U + left] - u)
    p += south * (at.below[_U] - u) + north * (at.above[_U] - u)
    q = east * (at[_V + right] - v) + west * (at[_V + left] - v)
    q += south * (at.below[_V] - v) + north * (at.above[_V] - v)
    at[_A] = 1 / (grey * x * x + slopes * (xx * xx + yx * yx) + around)
    at[_B] = grey * x * y + slopes * (xx * xy + yx * yy)
    at[_C] = 1 / (grey * y * y + slopes * (xy * xy + yy * yy) + around)
    at[_P] = p - grey * x * t - slopes * (xx * xt + yx * yt)
    at[_Q] = q - grey * y * t - slopes * (xy * xt + yy * yt)


def _solve(half: int, left: int, right: int, row: Row, _: Lanes) -> None:
    at = row.of(half)
    here, west, north = at[_W], at[_W + left], at.above[_W]
    p = at[_P] + here * (at[_DU + right] + at.below[_DU]) + west * at[_DU + left] + north * at.above[_DU]
    q = at[_Q] + here * (at[_DV + right] + at.below[_DV]) + west * at[_DV + left] + north * at.above[_DV]
    both, du, dv = at[_B], at[_DU], at[_DV]
    du += RELAX * ((p - dv * both) * at[_A] - du)
    dv += RELAX * ((q - du * both) * at[_C] - dv)
    at[_DU], at[_DV] = du, dv


_slopes_even, _slopes_odd = (along(partial(_slopes, *half)) for half in (_EVEN, _ODD))
_curves_even, _curves_odd = (along(partial(_curves, *half)) for half in (_EVEN, _ODD))
_bind_even, _bind_odd = (along(partial(_bind, *half)) for half in (_EVEN, _ODD))
_equations_even, _equations_odd = (along(partial(_equations, *half)) for half in (_EVEN, _ODD))
_solve_even, _solve_odd = (along(partial(_solve, *half)) for half in (_EVEN, _ODD))
