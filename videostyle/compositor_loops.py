"""How ``videostyle.compositor`` puts pictures together, run by run.

A run, ``RUN`` pixels of a row, moves as one and is reckoned with at once. Pictures are flat, uint8 RGB. Those that runs
are looked up in have a margin of ``LEFT`` and ``RIGHT`` pixels, in which the outermost pixels repeat, and one more row
below, of anything, so that no run has to be asked where it lies. Spans of runs are done with what maps say of any of
them, and nothing more.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from videostyle.compiled import at, compiled, f32, i32, part, u32
from videostyle.flow import LEFT, RIGHT, RUN, runs
from videostyle.vectors import HELD, MOVED, SHARES, SIDE, SPAN, STILL, enhance, paint, sort, split, stretch, unlike

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_MOVED_X, _MOVED_Y, _LAST_X, _LAST_Y, _HELD, _NEW = range(6)
PLANES, _ALL = 6, 8
"""Of maps: x and y of how far the key frame moved, in pixels of the picture, the same of the frame before, how much of
that is held, and how much is new, of 256."""


class Columns(NamedTuple):
    """cells, between: int64 and float32 (2, R), of each run, of its middle and its left edge, the value of a row of
    maps before it, and how far it is on the way to the next. As many as there are in whole spans, and a vector more."""

    cells: NDArray[np.int64]
    between: Floats


@lru_cache(4)
def columns(width: int, small: int) -> Columns:
    """How rows of maps, ``small`` values and one more at either end, are enlarged to ``width``."""
    places = [runs(width, small, inside) for inside in (RUN / 2, 0)]
    beyond = (0, -(-width // (SPAN * RUN)) * SPAN + SIDE - len(places[0][0]))
    return Columns(*(np.stack([np.pad(place[k], beyond, "edge") for place in places]) for k in (0, 1)))


@part
def _scale(flow: Floats, first: int, columns: int, across: float, down: float, out: Floats, to: int) -> None:
    """A row of a flow, x and then y."""
    whole, below, to = columns - columns % at(SIDE), columns + at(2), to + at(1)
    split(flow, at(2) * first, whole, out, to, to + below, across, down)
    for j in range(whole, columns):
        k = at(2) * (first + j)
        out[to + j], out[to + below + j] = across * flow[k], down * flow[k + at(1)]


@part
def _share(of: Floats, out: Floats) -> None:
    for j in range(at(of.size)):
        share = f32(256) * of[j]
        out[j + at(1)] = share if share >= f32(0.5) else f32(0)


@compiled
def arrange(since: Floats, last: Floats, held: Floats, new: Floats, height: int, width: int) -> Floats:
    """float32 (h, PLANES, w + 2), outermost values twice, as ``compose`` takes it for pictures of that size: of flows,
    (h, w, 2), in pixels of their own size, and of maps of shares, (h, w), of which what makes no difference is 0."""
    rows, columns = at(new.shape[0]), at(new.shape[1])
    across, down = f32(width) / f32(i32(columns)), f32(height) / f32(i32(rows))
    out = np.empty((rows, at(PLANES), columns + at(2)), np.float32)
    once, before, flat = since.ravel(), last.ravel(), out.ravel()
    for i in range(rows):
        row = i * at(PLANES) * (columns + at(2))
        _scale(once, i * columns, columns, across, down, flat, row + at(_MOVED_X) * (columns + at(2)))
        _scale(before, i * columns, columns, across, down, flat, row + at(_LAST_X) * (columns + at(2)))
        _share(held[i], out[i, at(_HELD)])
        _share(new[i], out[i, at(_NEW)])
        for plane in range(at(PLANES)):
            out[i, plane, 0], out[i, plane, columns + at(1)] = out[i, plane, 1], out[i, plane, columns]
    return out


@compiled
def _rows(
    row: int, height: int, maps: Floats, columns: Columns, motion: int, lines: NDArray[np.int64], grown: Floats,
    here: Floats,
) -> None:  # fmt: skip
    """Maps for a row of a picture into ``here``, (planes, R): the first ``motion`` for the middles of runs, each of the
    others for their left edges, and then for their middles. grown: the two rows of maps that it lies between, each
    where its number is even or odd, as wide, enlarged unless they are there: ``lines`` says which are."""
    place = min(max((row + 0.5) * len(maps) / height - 0.5, 0.0), len(maps) - 1.0)
    upper = min(int(place), max(len(maps) - 2, 0))
    for line in range(upper, upper + 2):
        slot, below = at(line & 1), min(line, len(maps) - 1)
        if lines[slot] != line:
            lines[slot] = line
            for plane in range(at(grown.shape[1])):
                shares = at(max(i32(plane) - i32(motion), 0))
                edges = shares & at(1) ^ at(1) if plane >= motion else at(0)
                of = min(plane, at(motion)) + (shares >> at(1))
                stretch(maps[below, of], columns.cells[edges], columns.between[edges], grown[slot, plane])
    share, up, low, flat = f32(place - upper), grown[upper & 1].ravel(), grown[1 - (upper & 1)].ravel(), here.ravel()
    for i in range(at(flat.size)):
        flat[i] = up[i] + (low[i] - up[i]) * share


@part
def _twice(share: int) -> int:
    """In both halves of a number."""
    return i32(i32(share) | i32(i32(share) << 16))


@compiled
def _find(
    x: Floats, y: Floats, first: int, row: int, height: int, width: int, count: int, found: Ints
) -> None:  # fmt: skip
    """Where a span's runs lie, moved by x and y, in 32nds of a pixel: SPAN numbers each of the first byte at the upper
    left, and of how many of 256 are of that pixel, of the one beside it, of the one below, and of both."""
    left, right = f32(-LEFT), f32(width)
    bottom, stride = f32(height - 1), i32(3 * (width + LEFT + RIGHT))
    for i in range(count):
        k = first + i
        across = min(max(x[k] + f32(i32(at(RUN) * k)), left), right) - left
        down = min(max(y[k] + f32(i32(row)), f32(0)), bottom)
        # Again, for what is no number is not within the limits above.
        column = min(max(i32(across * f32(32) + f32(0.5)), i32(0)), i32(32) * i32(width + LEFT))
        line = min(max(i32(down * f32(32) + f32(0.5)), i32(0)), i32(32) * i32(height - 1))
        u, v = i32(column & 31), i32(line & 31)
        both = i32(i32(u * v + 2) >> 2)
        found[i] = i32(i32(line >> 5) * stride) + i32(i32(column >> 5) * i32(3))
        found[at(SPAN) + i] = _twice(i32(256 - 8 * u - 8 * v) + both)
        found[at(2 * SPAN) + i] = _twice(i32(8 * u) - both)
        found[at(3 * SPAN) + i] = _twice(i32(8 * v) - both)
        found[at(4 * SPAN) + i] = _twice(both)


@part
def _close(out: Bytes, begin: int, end: int) -> None:
    """Repeat a row's outermost pixels in its margin."""
    for k in range(at(3)):
        left, right = out[begin + k], out[end - at(3) + k]
        for i in range(at(LEFT)):
            out[begin - at(3) * i - at(3) + k] = left
        for i in range(at(RIGHT)):
            out[end + at(3) * i + k] = right


@compiled
def compose(
    start: Bytes, goal: Bytes, share: int, shown: Bytes, painting: Bytes, maps: Floats, columns: Columns,
    rows: tuple[int, int], height: int, width: int, out: Bytes, tight: Bytes,
) -> None:  # fmt: skip
    """Rows of a picture: ``start``, and ``share`` of 256 ``goal``, as they moved, and over it the painting, with what
    was shown of that held.

    painting: no margin, its rows whole runs. maps: of ``arrange``. columns: of the function of that name. rows: the
    first, and the one after the last. out: with a margin. tight: the same without one, or nothing.
    """
    count = at(columns.cells.shape[1])
    grown, here = np.empty((2, _ALL, count), np.float32), np.empty((_ALL, count), np.float32)
    lines, share = np.full(2, -1), u32(share)
    since, last = np.empty(SHARES * SPAN, np.int32), np.empty(SHARES * SPAN, np.int32)
    shares, kinds = np.empty(8 * count, np.int16), np.full(count, -1, np.int32)
    in_all = at(width + RUN - 1) // at(RUN)
    stride = at(3 * (width + LEFT + RIGHT))
    for row in range(rows[0], rows[1]):
        _rows(row, height, maps, columns, at(_HELD), lines, grown, here)
        sort(here.ravel(), count, shares, kinds)
        begin, fresh = at(row) * stride + at(3 * LEFT), at(3 * RUN) * at(row) * in_all
        for span in range(at(0), in_all, at(SPAN)):
            end = min(span + at(SPAN), in_all)
            found_since = found_last = False
            first = span
            while first < end:
                kind, beyond = at(kinds[first]), min(unlike(kinds, first), end)
                if not found_since and kind % 3 == MOVED:
                    found_since = True
                    _find(here[at(_MOVED_X)], here[at(_MOVED_Y)], span, row, height, width, end - span, since)
                if not found_last and kind >= HELD:
                    found_last = True
                    _find(here[at(_LAST_X)], here[at(_LAST_Y)], span, row, height, width, end - span, last)
                paint(
                    kind, start, goal, share, shown, painting, since, last, shares, count, span, first, beyond, fresh,
                    begin, stride, out,
                )  # fmt: skip
                first = beyond
        for i in range(at(3 * width) if tight.size else at(0)):
            tight[at(row) * at(3 * width) + i] = out[begin + i]
        _close(out, begin, begin + at(3 * width))


@compiled
def sharpen(
    pictures: tuple[Bytes, Bytes], share: float, maps: Floats, columns: Columns, rows: tuple[int, int], height: int,
    width: int, outs: tuple[Bytes, Bytes],
) -> None:  # fmt: skip
    """Rows of two pictures with margins, each pixel by as much as ``maps`` says, (h, 1, w + 2), of 256: all of that is
    the ``share`` of what it differs from the mean of 3x3."""
    count = at(columns.cells.shape[1])
    grown, here = np.empty((2, 2, count), np.float32), np.zeros((_ALL, count), np.float32)
    lines, in_all = np.full(2, -1), at(width + RUN - 1) // at(RUN)
    shares, kinds = np.empty(8 * count, np.int16), np.full(count, -1, np.int32)
    share, stride = i32(share / 9 * 65536 + 0.5), at(3 * (width + LEFT + RIGHT))
    for row in range(rows[0], rows[1]):
        _rows(row, height, maps, columns, at(0), lines, grown, here[_ALL - 2 :])
        sort(here.ravel(), count, shares, kinds)
        middle = at(row) * stride + at(3 * LEFT)
        above, under = middle - at(min(row, 1)) * stride, middle + at(min(height - 1 - row, 1)) * stride
        first = at(0)
        while first < in_all:
            kind, beyond = kinds[first], min(unlike(kinds, first), in_all)
            for each in range(2):
                picture, out = pictures[each], outs[each]
                if kind == STILL:
                    for i in range(middle + at(3 * RUN) * first, middle + at(3 * RUN) * beyond):
                        out[i] = picture[i]
                else:
                    enhance(picture, above, middle, under, share, shares, count, first, beyond, out)
            first = beyond
        for out in outs:
            _close(out, middle, middle + at(3 * width))
