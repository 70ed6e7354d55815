"""Flow that fits two pictures and is smooth: variational refinement (Brox et al. 2004) as OpenCV has it, in half of the
time.

Planes are kept row for row, one after the other, at distances that are known when loops are compiled, so that eight
pixels are reckoned at a time without asking first whether planes overlap. Of each row the even columns come first, then
the odd ones: neighbours, which depend on one another, are then apart, and each half is solved at once (red-black
successive over-relaxation). Several sweeps go down the picture together, each a row behind the one before, so that rows
stay in the processor's cache between them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from videostyle.compiled import at, compiled, f32, i32, index, part, single

Plane = NDArray[np.float32]

_SMOOTH, _GREY, _SLOPE = (single(weight) for weight in (30, 2.5, 5))
"""Weights of neighbours that move alike, of pixels that stay as bright, and whose slopes stay."""
_ROBUST, _FLAT = single(1e-4), single(0.01)
"""Squares: below the first, differences count by their square and beyond it by their size; to the second, slopes say
nothing."""
_RELAX, _SWEEPS = single(1.6), index(2 * 5)
WIDEST = 1024
"""Pixels that a picture may be wide."""
_NIL, _ONE, _TWO, _PAD, _BLOCK = (index(number) for number in (0, 1, 2, 16, 16))
"""Before and after each half of a row there is a pad; and its pixels are done a block at a time."""
_HALF = index(WIDEST // 2) + _TWO * _PAD
_WHOLE = _TWO * _HALF
_T, _X, _Y, _XX, _XY, _YY, _XT, _YT, _U, _V, _DU, _DV, _W, _A, _B, _C, _P, _Q = (index(k) * _WHOLE for k in range(18))
"""Planes: change over time, slopes of the mean of both pictures, their slopes, those of the change; flow, what is added
to it, how firmly a pixel is bound to those at its right and below; and of the equations a du + b dv = p and
b du + c dv = q, with 1 / a and 1 / c."""
_MEAN = _A
_ROW = index(18) * _WHOLE
_UP = ~_ROW + _ONE
_EVEN, _ODD = (_NIL, _HALF - _ONE, _HALF), (_HALF, ~_HALF + _ONE, ~_HALF + _TWO)
"""Of even and odd columns: where they begin, and how far it is to what is at their left and right."""


def workspace(height: int) -> Plane:
    """What ``refine`` needs for pictures of that height, to be used again and again."""
    size, line = (height + 2) * int(_ROW), 16
    room = np.zeros(size + line, np.float32)
    start = -room.ctypes.data % (4 * line) // 4  # vectors that lie in two lines of the cache take twice as long
    return room[start : start + size]


def refine(
    first: Plane, second: Plane, border: int, pitch: int, x: Plane, y: Plane, rounds: int, work: Plane
) -> None:  # fmt: skip
    """Refine the flow x, y from the first picture to the second one, in place.

    first, second: luma, 0 to 255, flat, rows of ``pitch`` pixels, with so much border all around. x, y: float32 (H, W),
    at most ``WIDEST`` wide. rounds: times that weights are taken anew. work: of ``workspace``.
    """
    half = -(-x.shape[1] // 2)  # an odd width ends in a column that is there twice
    count = -(-half // int(_BLOCK)) * int(_BLOCK)  # whole blocks; what is too much, is not solved
    _differences(first, second, border, pitch, x, y, work, half, count)
    _refine(work, rounds, half, count, x, y)


@compiled
def _refine(work: Plane, rounds: int, end: int, count: int, x: Plane, y: Plane) -> None:
    height, width, end, count = at(x.shape[0]), at(x.shape[1]), at(end), at(count)
    for _ in range(rounds):
        for front in range(height + _SWEEPS):
            if front < height:
                _weigh(work, front, height, end, count)
            for sweep in range(_SWEEPS):
                if sweep <= front < height + sweep:
                    _relax(work, front - sweep, front & _ONE, count)
    for row in range(height):
        for column in range(width):
            i = _begin(row) + (column >> _ONE) + (column & _ONE) * _HALF
            x[row, column] += work[i + _DU]
            y[row, column] += work[i + _DV]


@part
def _begin(row: int) -> int:
    return (at(row) + _ONE) * _ROW + _PAD


@compiled
def _differences(
    first: Plane, second: Plane, border: int, pitch: int, x: Plane, y: Plane, work: Plane, end: int, count: int
) -> None:  # fmt: skip
    height, width, end, count = at(x.shape[0]), at(x.shape[1]), at(end), at(count)
    right, bottom = f32(i32(width) - 1), f32(i32(height) - 1)
    where, shares, taps = np.empty(_HALF, np.int32), np.empty((2, _HALF), np.float32), np.empty((4, _HALF), np.float32)
    for row in range(height):
        for half in range(_TWO):
            to = _begin(row) + half * _HALF
            for k in range(count):
                column = min(_TWO * k + half, width - _ONE)
                work[to + k + _U], work[to + k + _V] = x[row, column], y[row, column]
                work[to + k + _T] = first[(row + at(border)) * at(pitch) + column + at(border)]
            for k in range(count):
                across = f32(min(i32(_TWO * k + half), i32(width) - i32(1)))
                across = min(max(across + work[to + k + _U], f32(0)), right)
                down = min(max(f32(i32(row)) + work[to + k + _V], f32(0)), bottom)
                left, top = i32(across), i32(down)
                where[k] = i32(top + i32(border)) * i32(pitch) + i32(left + i32(border))
                shares[0, k], shares[1, k] = across - f32(left), down - f32(top)
            for k in range(count):
                i = at(where[k])
                j = i + at(pitch)
                taps[0, k], taps[1, k], taps[2, k], taps[3, k] = (
                    second[i],
                    second[i + _ONE],
                    second[j],
                    second[j + _ONE],
                )
            for k in range(count):
                a, b, c, d = taps[0, k], taps[1, k], taps[2, k], taps[3, k]
                a += (b - a) * shares[0, k]
                a += (c + (d - c) * shares[0, k] - a) * shares[1, k]
                grey = work[to + k + _T]
                work[to + k + _MEAN] = f32(0.5) * (a + grey)
                work[to + k + _T] = a - grey
                work[to + k + _DU] = 0
                work[to + k + _DV] = 0
    for plane in (_MEAN, _T, _U, _V):
        _frame(work, plane, height, end)
    for row in range(height):
        _slopes(work, _begin(row), count, *_EVEN)
        _slopes(work, _begin(row), count, *_ODD)
    for plane in (_X, _Y):
        _frame(work, plane, height, end)
    for row in range(height):
        _curves(work, _begin(row), count, *_EVEN)
        _curves(work, _begin(row), count, *_ODD)
    _fill(work, _DU, _NIL, f32(0))
    _fill(work, _DV, _NIL, f32(0))
    _fill(work, _W, _NIL, f32(0))


@part
def _frame(work: Plane, plane: int, height: int, end: int) -> None:
    """What is outside is as what is beside it."""
    for row in range(height):
        to = _begin(row) + plane
        work[to + _HALF - _ONE] = work[to]
        work[to + end] = work[to + _HALF - _ONE + end]
    _copy(work, plane, _ONE, _NIL)
    _copy(work, plane, height, height + _ONE)


@part
def _fill(work: Plane, plane: int, row: int, value: float) -> None:
    for k in range(_WHOLE):
        work[row * _ROW + plane + k] = value


@part
def _slopes(work: Plane, to: int, count: int, half: int, left: int, right: int) -> None:
    for k in range(count):
        i = to + half + k
        work[i + _X] = work[i + _MEAN + right] - work[i + _MEAN + left]
        work[i + _Y] = work[i + _MEAN + _ROW] - work[i + _MEAN + _UP]
        work[i + _XT] = work[i + _T + right] - work[i + _T + left]
        work[i + _YT] = work[i + _T + _ROW] - work[i + _T + _UP]


@part
def _curves(work: Plane, to: int, count: int, half: int, left: int, right: int) -> None:
    for k in range(count):
        i = to + half + k
        work[i + _XX] = work[i + _X + right] - work[i + _X + left]
        work[i + _XY] = work[i + _X + _ROW] - work[i + _X + _UP]
        work[i + _YY] = work[i + _Y + _ROW] - work[i + _Y + _UP]


@compiled
def _weigh(work: Plane, row: int, height: int, end: int, count: int) -> None:
    """A row's equations, weighed by how well it fits and how smooth it is now."""
    to, last = _begin(row), row + _ONE == height
    edge = to + _HALF - _ONE + end
    # Outside, flow is as beside it while smoothness is looked at, and 0 while the equations are solved.
    work[to + end + _DU], work[to + end + _DV] = work[edge + _DU], work[edge + _DV]
    if last:
        _copy(work, _DU, height, height + _ONE)
        _copy(work, _DV, height, height + _ONE)
    _bind(work, to, count, *_EVEN)
    _bind(work, to, count, *_ODD)
    work[to + end + _DU], work[to + end + _DV] = 0, 0
    if last:
        _fill(work, _DU, height + _ONE, f32(0))
        _fill(work, _DV, height + _ONE, f32(0))
    below = f32(0) if last else f32(1)
    _equations(work, to, count, below, *_EVEN)
    _equations(work, to, count, below, *_ODD)
    outside = work[edge + _W]
    work[edge + _A] /= f32(1) - outside * work[edge + _A]
    work[edge + _C] /= f32(1) - outside * work[edge + _C]
    for k in range(to + end, to + count):
        work[k + _A], work[k + _C], work[k + _A + _HALF], work[k + _C + _HALF] = 0, 0, 0, 0


@part
def _copy(work: Plane, plane: int, row: int, to: int) -> None:
    for k in range(_WHOLE):
        work[to * _ROW + plane + k] = work[row * _ROW + plane + k]


@part
def _bind(work: Plane, to: int, count: int, half: int, left: int, right: int) -> None:
    for k in range(count):
        i = to + half + k
        u, v = work[i + _U] + work[i + _DU], work[i + _V] + work[i + _DV]
        ux = work[i + _U + right] + work[i + _DU + right] - u
        vx = work[i + _V + right] + work[i + _DV + right] - v
        uy = work[i + _U + _ROW] + work[i + _DU + _ROW] - u
        vy = work[i + _V + _ROW] + work[i + _DV + _ROW] - v
        work[i + _W] = _SMOOTH / np.sqrt(ux * ux + uy * uy + vx * vx + vy * vy + _ROBUST)


@part
def _equations(work: Plane, to: int, count: int, below: float, half: int, left: int, right: int) -> None:
    for k in range(count):
        i = to + half + k
        x, y, t, du, dv = work[i + _X], work[i + _Y], work[i + _T], work[i + _DU], work[i + _DV]
        grey, off = f32(1) / (x * x + y * y + _FLAT), t + x * du + y * dv
        grey *= _GREY / np.sqrt(off * off * grey + _ROBUST)
        xx, xy, yy, xt, yt = (
            work[i + _XX], work[i + _XY], work[i + _YY], work[i + _XT], work[i + _YT],
        )  # fmt: skip
        in_x, in_y = f32(1) / (xx * xx + xy * xy + _FLAT), f32(1) / (yy * yy + xy * xy + _FLAT)
        off_x, off_y = xt + xx * du + xy * dv, yt + xy * du + yy * dv
        slopes = _SLOPE / np.sqrt(off_x * off_x * in_x + off_y * off_y * in_y + _ROBUST)
        in_x *= slopes
        in_y *= slopes
        east, west, north = work[i + _W], work[i + _W + left], work[i + _W + _UP]
        south = east * below
        around = east + west + south + north + _FLAT
        u, v = work[i + _U], work[i + _V]
        p = east * (work[i + _U + right] - u) + west * (work[i + _U + left] - u)
        p += south * (work[i + _U + _ROW] - u) + north * (work[i + _U + _UP] - u)
        q = east * (work[i + _V + right] - v) + west * (work[i + _V + left] - v)
        q += south * (work[i + _V + _ROW] - v) + north * (work[i + _V + _UP] - v)
        work[i + _A] = f32(1) / (grey * x * x + in_x * xx * xx + in_y * xy * xy + around)
        work[i + _B] = grey * x * y + in_x * xx * xy + in_y * xy * yy
        work[i + _C] = f32(1) / (grey * y * y + in_x * xy * xy + in_y * yy * yy + around)
        work[i + _P] = p - grey * x * t - in_x * xx * xt - in_y * xy * yt
        work[i + _Q] = q - grey * y * t - in_x * xy * xt - in_y * yy * yt


@compiled
def _relax(work: Plane, row: int, odd: int, count: int) -> None:
    if odd:
        _solve(work, _begin(row), count, *_ODD)
    else:
        _solve(work, _begin(row), count, *_EVEN)


@part
def _solve(work: Plane, to: int, count: int, half: int, left: int, right: int) -> None:
    for k in range(count):
        i = to + half + k
        here, west, north = work[i + _W], work[i + _W + left], work[i + _W + _UP]
        p = work[i + _P] + here * (work[i + _DU + right] + work[i + _DU + _ROW])
        p += west * work[i + _DU + left] + north * work[i + _DU + _UP]
        q = work[i + _Q] + here * (work[i + _DV + right] + work[i + _DV + _ROW])
        q += west * work[i + _DV + left] + north * work[i + _DV + _UP]
        both, du, dv = work[i + _B], work[i + _DU], work[i + _DV]
        du += _RELAX * ((p - dv * both) * work[i + _A] - du)
        dv += _RELAX * ((q - du * both) * work[i + _C] - dv)
        work[i + _DU] = du
        work[i + _DV] = dv
