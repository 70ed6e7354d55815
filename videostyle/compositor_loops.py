"""How ``videostyle.compositor`` puts pictures together, pixel by pixel.

Pixels are uint32, red in the lowest byte: four bytes are looked up in half the time of three. Two of the four are
reckoned with at a time, 16 bits apart. Pictures are flat; what is done, is done to spans of a row at a time, which stay
in the processor's nearest cache, and only where the maps are not 0.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from videostyle.compiled import at, compiled, f32, i32, u32
from videostyle.flow import RUN, runs
from videostyle.vectors import SIDE, fetch, lie_between, ramp, widen

Pixels = NDArray[np.uint32]
Floats = NDArray[np.float32]

SPAN = 64
"""Pixels of a span."""
_RUNS = SPAN // RUN
"""Of a span."""
_LINE, _AHEAD = 16, 3
"""Pixels of a line of the processor's cache, and rows ahead that they are fetched, for it does not see them coming."""
_CELL = SIDE
"""Pixels of a row that are enlarged at a time, from one value of a map to the next."""
_NONE, _SOME, _ALL = range(3)
_MOVED_X, _MOVED_Y, _LAST_X, _LAST_Y, _HELD, _NEW = range(6)
PLANES = 6
"""Of maps: x and y of how far the key frame moved, in pixels of the picture, the same of the frame before, how much of
that is held, and how much is new, of 256."""


@compiled
def lerp(a: int, b: int, share: int) -> int:
    """Two pixels, ``share`` of 256 of the second."""
    rest = u32(256 - share)
    even = u32((a & 0xFF00FF) * rest + (b & 0xFF00FF) * share + 0x800080) >> u32(8)
    odd = u32((a >> u32(8) & 0xFF00FF) * rest + (b >> u32(8) & 0xFF00FF) * share + 0x800080)
    return u32((even & 0xFF00FF) | (odd & 0xFF00FF00))


@compiled
def fade(a: Pixels, b: Pixels, share: int, out: Pixels) -> None:
    """``lerp`` of pictures."""
    share = u32(share)
    for i in range(at(out.size)):
        out[i] = lerp(a[i], b[i], share)


class Columns(NamedTuple):
    """start: the first pixel of each cell between two values. between: how far between them that is. spans: of each,
    its first pixel, and its first cell and the one after its last. cells, inside: of each run, as of ``runs``."""

    start: NDArray[np.int64]
    between: Floats
    spans: NDArray[np.int64]
    cells: NDArray[np.int64]
    inside: Floats


@lru_cache(4)
def columns(width: int, small: int) -> Columns:
    """How rows of maps, ``small`` values and one more at either end, are enlarged to ``width``."""
    scale = width / small
    middles = (np.arange(small + 1) - 0.5) * scale - 0.5
    start = np.ceil(middles).astype(np.int64)
    start[0] = 0
    most = -(-max(width - SPAN, 0) // RUN) * RUN
    spans = [*range(0, most, SPAN), most]
    first = np.searchsorted(start, spans, side="right") - 1
    last = np.searchsorted(start, np.add(spans, SPAN))
    between = ((start - middles) / scale).astype(np.float32)
    cells, inside = runs(width, small)
    beyond = (0, _RUNS)  # of the picture, where the last span may end
    return Columns(start, between, np.stack([spans, first, last], -1), np.pad(cells, beyond), np.pad(inside, beyond))


@compiled
def arrange(since: Floats, last: Floats, held: Floats, new: Floats, height: int, width: int) -> Floats:
    """float32 (h, PLANES, w + 2), outermost values twice, as ``compose`` takes it for pictures of that size: of flows,
    (h, w, 2), in pixels of their own size, and of maps of shares, (h, w), of which what makes no difference is 0."""
    rows, columns = at(new.shape[0]), at(new.shape[1])
    down, across = f32(height) / f32(i32(rows)), f32(width) / f32(i32(columns))
    out = np.empty((rows, at(PLANES), columns + at(2)), np.float32)
    for i in range(rows):
        for j in range(columns):
            to, keeps, fresh = j + at(1), f32(256) * held[i, j], f32(256) * new[i, j]
            out[i, at(_MOVED_X), to], out[i, at(_MOVED_Y), to] = across * since[i, j, 0], down * since[i, j, 1]
            out[i, at(_LAST_X), to], out[i, at(_LAST_Y), to] = across * last[i, j, 0], down * last[i, j, 1]
            out[i, at(_HELD), to] = keeps if keeps >= f32(0.5) else f32(0)
            out[i, at(_NEW), to] = fresh if fresh >= f32(0.5) else f32(0)
        for plane in range(at(PLANES)):
            out[i, plane, 0], out[i, plane, columns + at(1)] = out[i, plane, 1], out[i, plane, columns]
    return out


@compiled
def _look(
    picture: Pixels, width: int, height: int, x: Floats, y: Floats, where: NDArray[np.int32], shares: Pixels,
    found: Pixels,
) -> None:  # fmt: skip
    """A span of pixels, bilinearly in 32nds of a pixel, runs of them side by side: the first one's places are given.
    Edges repeat outside."""
    stride, right, bottom = i32(width), i32(width) - i32(RUN + 1), i32(height) - i32(2)
    for i in range(at(SPAN // RUN)):
        across = i32(min(max(x[i], f32(-1)), f32(width)) * f32(32) + f32(32.5)) - i32(32)
        down = i32(min(max(y[i], f32(-1)), f32(height)) * f32(32) + f32(32.5)) - i32(32)
        column, line = i32(across >> 5), i32(down >> 5)
        inside = (column >= 0) & (column <= right) & (line >= 0) & (line <= bottom)
        where[i] = i32(line * stride + column) if inside else i32(-1)
        u, v = u32(across & 31), u32(down & 31)
        d = u32(u32(u * v + 2) >> u32(2))
        shares[i], shares[at(_RUNS) + i], shares[at(2 * _RUNS) + i] = d, u32((u << u32(3)) - d), u32((v << u32(3)) - d)
    for i in range(at(0), at(_RUNS), at(_LINE // RUN)):
        fetch(picture, at(max(where[i], 0)) + at(_AHEAD) * at(width))
    for i in range(at(_RUNS)):
        to = at(RUN) * i
        if where[i] >= 0:
            d, b, c = shares[i], shares[at(_RUNS) + i], shares[at(2 * _RUNS) + i]
            lie_between(picture, at(where[i]), at(width), u32(256 - b - c - d), b, c, d, found, to)
        else:
            for k in range(at(RUN)):
                found[to + k] = _pixel(picture, width, height, x[i] + f32(i32(k)), y[i])


@compiled
def _pixel(picture: Pixels, width: int, height: int, x: float, y: float) -> int:
    across = u32(i32(min(max(x, f32(0)), f32(width - 1)) * f32(32) + f32(0.5)))
    down = u32(i32(min(max(y, f32(0)), f32(height - 1)) * f32(32) + f32(0.5)))
    column, line = at(across >> u32(5)), at(down >> u32(5))
    beside, below = min(column + at(1), at(width - 1)), min(line + at(1), at(height - 1)) * at(width)
    line *= at(width)
    upper = lerp(picture[line + column], picture[line + beside], u32((across & 31) << u32(3)))
    lower = lerp(picture[below + column], picture[below + beside], u32((across & 31) << u32(3)))
    return lerp(upper, lower, u32((down & 31) << u32(3)))


@compiled
def _enlarge(
    maps: Floats,
    line: int,
    columns: Columns,
    step: float,
    motion: int,
    grown: Floats,
    alive: NDArray[np.uint8],
) -> None:
    """One row of each map, as wide as the picture, or as there are runs: of the first ``motion``. alive: of spans, SOME
    where it or a neighbour is not 0, ALL where it is 256 throughout."""
    above, here, under = at(max(line - 1, 0)), at(line), at(min(line + 1, len(maps) - 1))
    for plane in range(at(maps.shape[1])):
        spoilt, moves = _NONE, plane < motion
        for span in range(at(len(columns.spans))):
            first, last = at(columns.spans[span, at(1)]), at(columns.spans[span, at(2)])
            was = alive[span, plane]
            some, all_over = False, True
            for i in range(first, last + at(1)):
                some |= maps[above, plane, i] != 0 or maps[here, plane, i] != 0 or maps[under, plane, i] != 0
                all_over &= maps[here, plane, i] >= f32(255.5)
            alive[span, plane] = (_ALL if all_over else _SOME) if some else _NONE
            if moves:
                if alive[span, plane] or was:
                    left = at(columns.spans[span, at(0)]) // at(RUN)
                    for i in range(left, left + at(_RUNS)):
                        cell = at(columns.cells[i])
                        value = maps[here, plane, cell]
                        grown[plane, i] = value + (maps[here, plane, cell + at(1)] - value) * columns.inside[i]
            elif alive[span, plane]:
                for i in range(first, last):
                    value = maps[here, plane, i]
                    slope = maps[here, plane, i + at(1)] - value
                    value += slope * columns.between[i]
                    slope *= step
                    begin = columns.start[i]
                    last_cell = i + at(1) == at(len(columns.start))
                    end = grown.shape[1] - _CELL if last_cell else columns.start[i + at(1)]
                    for to in range(begin, end, _CELL):  # what is too much, the next cell puts right
                        ramp(grown[plane], at(to), value + slope * f32(i32(to - begin)), slope)
            elif was or spoilt:
                to = at(columns.spans[span, at(0)])
                for i in range(at(SPAN + _CELL)):
                    grown[plane, to + i] = 0
            spoilt = alive[span, plane]


@compiled
def _rows(
    row: int,
    height: int,
    maps: Floats,
    columns: Columns,
    step: float,
    motion: int,
    lines: NDArray[np.int64],
    grown: Floats,
    alive: NDArray[np.uint8],
) -> tuple[int, float]:
    """Enlarge the two rows of maps between which a row of a picture lies, each where its number is even or odd, unless
    they are there. Returns which is the upper one, and the share of the lower one."""
    place = min(max((row + 0.5) * len(maps) / height - 0.5, 0.0), len(maps) - 1.0)
    upper = min(int(place), len(maps) - 2)
    for line in range(upper, upper + 2):
        slot = at(line & 1)
        if lines[slot] != line:
            lines[slot] = line
            _enlarge(maps, line, columns, step, motion, grown[slot], alive[slot])
    return at(upper & 1), f32(place - upper)


@compiled
def compose(
    carried: Pixels,
    shown: Pixels,
    painting: NDArray[np.uint8],
    maps: Floats,
    columns: Columns,
    rows: tuple[int, int],
    height: int,
    width: int,
    out: Pixels,
    rgb: NDArray[np.uint8],
) -> None:
    """Rows of a picture: ``carried`` as it moved, and over it the painting, with what was shown of that held.

    maps: of ``arrange``. columns: of the function of that name. rows: the first, and the one after the last. out: RGBA.
    rgb: the same, uint8 (3 H W).
    """
    grown = np.zeros((2, PLANES, max(width, SPAN) + RUN + _CELL), np.float32)
    alive = np.zeros((2, len(columns.spans), PLANES), np.uint8)
    lines = np.full(2, -1)
    x, y = np.zeros(_RUNS, np.float32), np.zeros(_RUNS, np.float32)
    where, shares = np.zeros(_RUNS, np.int32), np.zeros(3 * _RUNS, np.uint32)
    found, held, fresh = np.zeros(SPAN, np.uint32), np.zeros(SPAN, np.uint32), np.zeros(SPAN, np.uint32)
    step = f32(maps.shape[2] - 2) / f32(width)
    for row in range(rows[0], rows[1]):
        slot, share = _rows(row, height, maps, columns, step, at(_HELD), lines, grown, alive)
        up, low = grown[slot], grown[at(1) - slot]
        for span in range(at(len(columns.spans))):
            left = columns.spans[span, at(0)]
            count, here = at(min(SPAN, width - left)), at(row * width + left)
            renewed = alive[at(0), span, at(_NEW)] and alive[at(1), span, at(_NEW)]
            holds = renewed and alive[at(0), span, at(_HELD)] and alive[at(1), span, at(_HELD)]
            moves = alive[at(0), span, at(_MOVED_X)] != _NONE and alive[at(1), span, at(_MOVED_X)] != _NONE
            moves |= alive[at(0), span, at(_MOVED_Y)] != _NONE and alive[at(1), span, at(_MOVED_Y)] != _NONE
            covered = alive[at(0), span, at(_NEW)] == _ALL and alive[at(1), span, at(_NEW)] == _ALL
            moves &= not covered
            for layer in range(2):
                if holds if layer else moves:
                    x_plane, y_plane = at(2 * layer), at(2 * layer + 1)
                    for i in range(at(_RUNS)):
                        k = at(left) // at(RUN) + i
                        x[i] = up[x_plane, k] + (low[x_plane, k] - up[x_plane, k]) * share + f32(i32(at(RUN) * k))
                        y[i] = up[y_plane, k] + (low[y_plane, k] - up[y_plane, k]) * share + f32(row)
                    _look(shown if layer else carried, width, height, x, y, where, shares, held if layer else found)
            if not moves and not covered:
                for i in range(count):
                    found[i] = carried[here + i]
            if renewed:
                whole = count - count % at(RUN)
                for i in range(at(0), whole, at(RUN)):
                    widen(painting, at(3) * (here + i), fresh, i)
                for i in range(whole, count):
                    byte = at(3) * (here + i)
                    red, green, blue = painting[byte], painting[byte + at(1)], painting[byte + at(2)]
                    fresh[i] = u32(red) | u32(green) << u32(8) | u32(blue) << u32(16)
                if holds:
                    for i in range(at(SPAN)):
                        k = at(left) + i
                        weight = up[at(_HELD), k] + (low[at(_HELD), k] - up[at(_HELD), k]) * share
                        fresh[i] = lerp(fresh[i], held[i], u32(i32(weight + f32(0.5))))
                for i in range(at(SPAN)):
                    k = at(left) + i
                    weight = up[at(_NEW), k] + (low[at(_NEW), k] - up[at(_NEW), k]) * share
                    found[i] = lerp(found[i], fresh[i], u32(i32(weight + f32(0.5))))
            for i in range(count):
                out[here + i] = found[i]
            for i in range(count):
                byte, pixel = at(3) * (here + i), found[i]
                rgb[byte] = pixel
                rgb[byte + at(1)] = pixel >> u32(8)
                rgb[byte + at(2)] = pixel >> u32(16)


@compiled
def sharpen(
    picture: Pixels,
    maps: Floats,
    columns: Columns,
    rows: tuple[int, int],
    height: int,
    width: int,
    out: Pixels,
) -> None:
    """Rows of a picture, with so much as ``maps`` says, (h, 1, w + 2), of what 3x3 pixels differ from their mean."""
    grown = np.zeros((2, 1, max(width, SPAN) + RUN + _CELL), np.float32)
    alive = np.zeros((2, len(columns.spans), 1), np.uint8)
    lines = np.full(2, -1)
    even, odd = np.zeros(SPAN + 2, np.uint32), np.zeros(SPAN + 2, np.uint32)
    step = f32(maps.shape[2] - 2) / f32(width)
    for row in range(rows[0], rows[1]):
        slot, share = _rows(row, height, maps, columns, step, at(0), lines, grown, alive)
        up, low = grown[slot, at(0)], grown[at(1) - slot, at(0)]
        # Edges are mirrored.
        above, under = at(abs(row - 1) % height * width), at((row + 1 if row + 1 < height else max(row - 1, 0)) * width)
        for span in range(at(len(columns.spans))):
            left = at(columns.spans[span, at(0)])
            count, here = min(at(SPAN), at(width) - left), at(row * width) + left
            if not (alive[at(0), span, at(0)] and alive[at(1), span, at(0)]):
                for i in range(count):
                    out[here + i] = picture[here + i]
                continue
            first, last = at(0 if left else 1), min(count + at(2), at(width) - left + at(1))
            for i in range(first, last):
                a, b = picture[above + left + i - at(1)], picture[here + i - at(1)]
                c = picture[under + left + i - at(1)]
                even[i] = (a & 0xFF00FF) + (b & 0xFF00FF) + (c & 0xFF00FF)
                odd[i] = (a >> u32(8) & 0xFF00FF) + (b >> u32(8) & 0xFF00FF) + (c >> u32(8) & 0xFF00FF)
            beside = at(1 if width > 1 else 0)
            if not left:
                even[at(0)], odd[at(0)] = even[at(1) + beside], odd[at(1) + beside]
            if last == count + at(1):
                even[last], odd[last] = even[count - beside], odd[count - beside]
            for i in range(count):
                pixel, k = picture[here + i], left + i
                weight = (up[k] + (low[k] - up[k]) * share) / f32(9)
                evens = u32(even[i] + even[i + at(1)] + even[i + at(2)])
                greens = u32(odd[i] + odd[i + at(1)] + odd[i + at(2)]) & u32(0xFFFF)
                red = _sharper(pixel & 0xFF, evens & u32(0xFFFF), weight)
                green = _sharper(pixel >> u32(8) & 0xFF, greens, weight)
                blue = _sharper(pixel >> u32(16) & 0xFF, evens >> u32(16), weight)
                out[here + i] = u32(red | green << u32(8) | blue << u32(16))


@compiled
def _sharper(value: int, around: int, weight: float) -> int:
    middle = f32(i32(value))
    sharp = middle + weight * (f32(9) * middle - f32(i32(around)))
    return u32(i32(min(max(sharp + f32(0.5), f32(0)), f32(255))))
