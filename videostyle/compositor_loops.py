"""How ``videostyle.compositor`` puts pictures together, pixel by pixel.

Pixels are uint32, red in the lowest byte: four bytes are looked up in half the time of three. Two of the four are
reckoned with at a time, 16 bits apart. Pictures are flat; what is done, is done to spans of a row at a time, which stay
in the processor's nearest cache, and only where the maps are not 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from videostyle.compiled import at, compiled, f32, i32, u32
from videostyle.vectors import SIDE, fetch, ramp

Pixels = NDArray[np.uint32]
Floats = NDArray[np.float32]

SPAN = 64
"""Pixels of a span."""
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


def columns(width: int, small: int) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]]:
    """How rows of maps, ``small`` values and one more at either end, are enlarged to ``width``: the first pixel of each
    cell between two values, how far between them it is, and for each span of pixels its first one and its cells."""
    scale = width / small
    middles = (np.arange(small + 1) - 0.5) * scale - 0.5
    start = np.ceil(middles).astype(np.int64)
    start[0] = 0
    spans = [*range(0, max(width - SPAN, 0), SPAN), max(width - SPAN, 0)]
    first = np.searchsorted(start, spans, side="right") - 1
    last = np.searchsorted(start, np.add(spans, SPAN))
    return start, ((start - middles) / scale).astype(np.float32), np.stack([spans, first, last], -1)


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
    picture: Pixels, width: int, height: int, x: Floats, y: Floats, where: Pixels, taps: Pixels, found: Pixels
) -> None:
    """A span of pixels, bilinearly at places in 32nds of a pixel; edges repeat outside."""
    right, bottom, stride = i32(max(width - 2, 0)), i32(max(height - 2, 0)), i32(width)
    beside, below = at(min(1, width - 1)), at(width if height > 1 else 0)
    for i in range(at(SPAN)):
        across = i32(min(max(x[i], f32(0)), f32(width - 1)) * f32(32) + f32(0.5))
        down = i32(min(max(y[i], f32(0)), f32(height - 1)) * f32(32) + f32(0.5))
        column, line = min(i32(across >> 5), right), min(i32(down >> 5), bottom)
        where[i] = u32(line * stride + column)
        where[at(SPAN) + i] = u32(across - (column << 5))
        where[at(2 * SPAN) + i] = u32(down - (line << 5))
    for i in range(at(0), at(SPAN), at(_LINE)):
        fetch(picture, at(where[i]) + at(_AHEAD) * below)
    for i in range(at(SPAN)):
        pixel = at(where[i])
        taps[i] = picture[pixel]
        taps[at(SPAN) + i] = picture[pixel + beside]
        taps[at(2 * SPAN) + i] = picture[pixel + below]
        taps[at(3 * SPAN) + i] = picture[pixel + below + beside]
    for i in range(at(SPAN)):
        across, down = where[at(SPAN) + i], where[at(2 * SPAN) + i]
        d = u32(u32(across * down + 2) >> u32(2))
        b, c = u32((across << u32(3)) - d), u32((down << u32(3)) - d)
        a = u32(256 - b - c - d)
        p, q, r, s = taps[i], taps[at(SPAN) + i], taps[at(2 * SPAN) + i], taps[at(3 * SPAN) + i]
        even = (p & 0xFF00FF) * a + (q & 0xFF00FF) * b + (r & 0xFF00FF) * c + (s & 0xFF00FF) * d
        p, q, r, s = p >> u32(8), q >> u32(8), r >> u32(8), s >> u32(8)
        odd = (p & 0xFF00FF) * a + (q & 0xFF00FF) * b + (r & 0xFF00FF) * c + (s & 0xFF00FF) * d
        even = u32(u32(even + 0x800080) >> u32(8)) & 0xFF00FF
        found[i] = u32(even | (u32(odd + 0x800080) & 0xFF00FF00))


@compiled
def _enlarge(
    maps: Floats,
    line: int,
    start: NDArray[np.int64],
    between: Floats,
    spans: NDArray[np.int64],
    step: float,
    grown: Floats,
    alive: NDArray[np.uint8],
) -> None:
    """One row of each map, as wide as the picture. alive: of spans, SOME where it or a neighbour is not 0, ALL where it
    is 256 throughout."""
    above, here, under = at(max(line - 1, 0)), at(line), at(min(line + 1, len(maps) - 1))
    for plane in range(at(maps.shape[1])):
        spoilt = _NONE
        for span in range(at(len(spans))):
            first, last = at(spans[span, at(1)]), at(spans[span, at(2)])
            was = alive[span, plane]
            some, all_over = False, True
            for i in range(first, last + at(1)):
                some |= maps[above, plane, i] != 0 or maps[here, plane, i] != 0 or maps[under, plane, i] != 0
                all_over &= maps[here, plane, i] >= f32(255.5)
            alive[span, plane] = (_ALL if all_over else _SOME) if some else _NONE
            if alive[span, plane]:
                for i in range(first, last):
                    value = maps[here, plane, i]
                    slope = maps[here, plane, i + at(1)] - value
                    value += slope * between[i]
                    slope *= step
                    begin, end = start[i], start[i + at(1)] if i + at(1) < at(len(start)) else grown.shape[1] - _CELL
                    for to in range(begin, end, _CELL):  # what is too much, the next cell puts right
                        ramp(grown[plane], at(to), value + slope * f32(i32(to - begin)), slope)
            elif was or spoilt:
                to = at(spans[span, at(0)])
                for i in range(at(SPAN + _CELL)):
                    grown[plane, to + i] = 0
            spoilt = alive[span, plane]


@compiled
def _rows(
    row: int,
    height: int,
    maps: Floats,
    start: NDArray[np.int64],
    between: Floats,
    spans: NDArray[np.int64],
    step: float,
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
            _enlarge(maps, line, start, between, spans, step, grown[slot], alive[slot])
    return at(upper & 1), f32(place - upper)


@compiled
def compose(
    carried: Pixels,
    shown: Pixels,
    painting: NDArray[np.uint8],
    maps: Floats,
    start: NDArray[np.int64],
    between: Floats,
    spans: NDArray[np.int64],
    rows: tuple[int, int],
    height: int,
    width: int,
    out: Pixels,
    rgb: NDArray[np.uint8],
) -> None:
    """Rows of a picture: ``carried`` as it moved, and over it the painting, with what was shown of that held.

    maps: of ``arrange``. start, between, spans: of ``columns``. rows: the first,
    and the one after the last. out: RGBA. rgb: the same, uint8 (3 H W).
    """
    grown = np.zeros((2, PLANES, max(width, SPAN) + _CELL), np.float32)
    alive = np.zeros((2, len(spans), PLANES), np.uint8)
    lines = np.full(2, -1)
    x, y = np.zeros(SPAN, np.float32), np.zeros(SPAN, np.float32)
    where, taps = np.zeros(3 * SPAN, np.uint32), np.zeros(4 * SPAN, np.uint32)
    found, held, fresh = np.zeros(SPAN, np.uint32), np.zeros(SPAN, np.uint32), np.zeros(SPAN, np.uint32)
    step = f32(maps.shape[2] - 2) / f32(width)
    for row in range(rows[0], rows[1]):
        slot, share = _rows(row, height, maps, start, between, spans, step, lines, grown, alive)
        up, low = grown[slot], grown[at(1) - slot]
        for span in range(at(len(spans))):
            left = spans[span, at(0)]
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
                    for i in range(at(SPAN)):
                        k = at(left) + i
                        x[i] = up[x_plane, k] + (low[x_plane, k] - up[x_plane, k]) * share + f32(left) + f32(i)
                        y[i] = up[y_plane, k] + (low[y_plane, k] - up[y_plane, k]) * share + f32(row)
                    _look(shown if layer else carried, width, height, x, y, where, taps, held if layer else found)
            if not moves and not covered:
                for i in range(count):
                    found[i] = carried[here + i]
            if renewed:
                for i in range(count):
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
    start: NDArray[np.int64],
    between: Floats,
    spans: NDArray[np.int64],
    rows: tuple[int, int],
    height: int,
    width: int,
    out: Pixels,
) -> None:
    """Rows of a picture, with so much as ``maps`` says, (h, 1, w + 2), of what 3x3 pixels differ from their mean."""
    grown = np.zeros((2, 1, max(width, SPAN) + _CELL), np.float32)
    alive = np.zeros((2, len(spans), 1), np.uint8)
    lines = np.full(2, -1)
    even, odd = np.zeros(SPAN + 2, np.uint32), np.zeros(SPAN + 2, np.uint32)
    step = f32(maps.shape[2] - 2) / f32(width)
    for row in range(rows[0], rows[1]):
        slot, share = _rows(row, height, maps, start, between, spans, step, lines, grown, alive)
        up, low = grown[slot, at(0)], grown[at(1) - slot, at(0)]
        # Edges are mirrored.
        above, under = at(abs(row - 1) % height * width), at((row + 1 if row + 1 < height else max(row - 1, 0)) * width)
        for span in range(at(len(spans))):
            left = at(spans[span, at(0)])
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
