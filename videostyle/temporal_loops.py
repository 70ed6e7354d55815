"""Small maps of what moved where: the loops of ``videostyle.temporal``, each in place of several passes over a map.

Flow and places are float32 (H, W, 2), x and y; maps float32 (H, W).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from videostyle.compiled import at, compiled, f32, i32, part, u32
from videostyle.flow import RUN
from videostyle.vectors import lies, misses, quarter

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Ints = NDArray[np.int32]


@compiled
def known(there: Floats, back: Floats, out: Mask) -> None:
    """Where the way there and ``back``, (H // 2, W // 2, 2), of that size, leads home, and no motion ends: as
    ``videostyle.flow.visible``, but a way that was looked for at half of the resolution may miss by more."""
    height, width = at(there.shape[0]), at(there.shape[1])
    rows, columns = at(back.shape[0]), at(back.shape[1])
    lost, line = np.zeros((rows + at(1), width), np.uint8), at(2) * width
    way, half, quarter = there.ravel(), f32(0.5), f32(0.25)
    for i in range(rows):
        for j in range(columns):
            k = at(2) * (i * line + at(2) * j)
            u = quarter * (way[k] + way[k + at(2)] + way[k + line] + way[k + line + at(2)])
            v = quarter * (way[k + at(1)] + way[k + at(3)] + way[k + line + at(1)] + way[k + line + at(3)])
            row, column, a, b, c, d = _between(f32(i32(i)) + half * v, f32(i32(j)) + half * u, rows, columns)
            below, beside = min(row + at(1), rows - at(1)), min(column + at(1), columns - at(1))
            x = a * back[row, column, 0] + b * back[row, beside, 0]
            x = f32(2) * (x + c * back[below, column, 0] + d * back[below, beside, 0])
            y = a * back[row, column, 1] + b * back[row, beside, 1]
            y = f32(2) * (y + c * back[below, column, 1] + d * back[below, beside, 1])
            off = (u + x) * (u + x) + (v + y) * (v + y)
            gone = off > f32(0.02) * (u * u + v * v + x * x + y * y) + f32(0.8)
            lost[i, at(2) * j], lost[i, at(2) * j + at(1)] = gone, gone
    lost[rows] = lost[rows - at(1)]
    for i in range(height):
        up, low = at(max(i32(i) - 1, 0)) * line, min(i + at(1), height - at(1)) * line
        for j in range(at(1), width - at(1)):
            k = i * line + at(2) * j
            ux, vx = way[k + at(2)] - way[k - at(2)], way[k + at(3)] - way[k - at(1)]
            uy = way[low + at(2) * j] - way[up + at(2) * j]
            vy = way[low + at(2) * j + at(1)] - way[up + at(2) * j + at(1)]
            u, v = way[k], way[k + at(1)]
            edge = quarter * (ux * ux + vx * vx + uy * uy + vy * vy) - f32(0.01) * (u * u + v * v)
            out[i, j] = max(edge, f32(lost[i >> at(1), j])) <= f32(0.002)
        out[i, 0], out[i, width - at(1)] = out[i, 1], out[i, width - at(2)]


@part
def _between(y: float, x: float, height: int, width: int) -> tuple[int, int, float, float, float, float]:
    """Of a place: the pixel at its upper left, and the shares of it, of those at its right, below, and both."""
    y = min(max(y, f32(0)), f32(i32(height) - i32(1)))
    x = min(max(x, f32(0)), f32(i32(width) - i32(1)))
    row, column = i32(y), i32(x)
    y -= f32(row)
    x -= f32(column)
    both = x * y
    return at(row), at(column), f32(1) - x - y + both, x - both, y - both, both


@compiled
def step(flow: Floats, rest: Floats, way: Floats, place: Floats) -> None:
    """The flow, held back by ``rest``: the way to where each pixel was, and that place."""
    height, width = at(flow.shape[0]), at(flow.shape[1])
    flow_, way_, place_ = flow.ravel(), way.ravel(), place.ravel()  # numbers of two sides apart, which compilers see
    for i in range(height):
        for j in range(width):
            k, go = at(2) * (i * width + j), f32(1) - rest[i, j]
            across, down = go * flow_[k], go * flow_[k + at(1)]
            way_[k], way_[k + at(1)] = across, down
            place_[k], place_[k + at(1)] = f32(i32(j)) + across, f32(i32(i)) + down


@compiled
def _shares(place: Floats, first: int, height: int, width: int, where: Ints) -> None:
    """Of a row of places, from the ``first`` on, what ``misses`` is to know, in 32nds of a pixel."""
    right, bottom, one = f32(i32(width)), f32(i32(height)), f32(1)
    stride, wide, high = i32(4 * width), i32(i32(width) - 2), i32(i32(height) - 2)
    for j in range(width):
        k = at(2) * (first + j)
        x, y = place[k], place[k + at(1)]
        inside = min(max(min(x + one, right - x), f32(0)), one) * min(max(min(y + one, bottom - y), f32(0)), one)
        x, y = min(max(x, f32(0)), right - one), min(max(y, f32(0)), bottom - one)
        across, down, of = i32(x * f32(32) + f32(0.5)), i32(y * f32(32) + f32(0.5)), i32(inside * f32(32) + f32(0.5))
        # Again, for what is no number is not within the limits above.
        column, row = max(min(i32(across >> 5), wide), i32(0)), max(min(i32(down >> 5), high), i32(0))
        u, v = i32(i32(across - i32(column << 5)) & 63), i32(i32(down - i32(row << 5)) & 63)
        both = i32(i32(u * v + 2) >> 2)
        here, beside = i32(i32(256 - 8 * u - 8 * v) + both), i32(i32(8 * u) - both)
        below = i32(i32(8 * v) - both)
        here, beside, below, both = (
            i32(here * of) >> 5,
            i32(beside * of) >> 5,
            i32(below * of) >> 5,
            i32(both * of) >> 5,
        )
        where[j] = i32(i32(row * stride) + i32(column << 2))
        where[width + j] = i32(i32(here) | i32(i32(beside) << 16))
        where[at(2) * width + j] = i32(i32(below) | i32(i32(both) << 16))
        where[at(3) * width + j] = i32(256 - i32(i32(here + beside) + i32(below + both)))


@compiled
def apart(now: Bytes, then: Bytes, place: Floats, out: Bytes) -> None:
    """By how much pictures of four bytes a pixel, flat, 2 pixels or more each side, differ: of now, and of then where
    ``place`` is; beyond its edge, that fades to OUTSIDE within a pixel."""
    height, width = at(place.shape[0]), at(place.shape[1])
    where, flat = np.empty(at(4) * width, np.int32), place.ravel()
    for i in range(height):
        _shares(flat, i * width, height, width, where)
        misses(now, at(4) * i * width, then, at(4) * width, where, width, out)


@compiled
def _corners(place: Floats, first: int, height: int, width: int, where: Ints, shares: Floats) -> None:
    """Of a row of places, from the ``first`` on, those at the edge for those beyond it, what ``lies`` is to know."""
    right, bottom = f32(i32(width) - i32(1)), f32(i32(height) - i32(1))
    stride, wide, high = i32(4 * width), i32(i32(width) - 2), i32(i32(height) - 2)
    for j in range(width):
        k = at(2) * (first + j)
        x, y = min(max(place[k], f32(0)), right), min(max(place[k + at(1)], f32(0)), bottom)
        # Again, for what is no number is not within the limits above.
        column, row = max(min(i32(x), wide), i32(0)), max(min(i32(y), high), i32(0))
        where[j] = i32(i32(row * stride) + i32(column << 2))
        shares[j], shares[width + j] = x - f32(column), y - f32(row)


@compiled
def carry(carried: Floats, there: Floats, place: Floats, since: Floats, out: Floats) -> None:
    """Of what is carried to each pixel from a ``place``, float32 (H, W, 4), 2 pixels or more each side, of which the
    first two are the way on from there to where it lay at the key frame, and the third how sure that is: the way as a
    whole, and as much of that as is ``there``. since: this way. place: where it leads."""
    height, width = at(since.shape[0]), at(since.shape[1])
    carried_, place_, since_, out_ = carried.ravel(), place.ravel(), since.ravel(), out.ravel()
    right, bottom = f32(i32(width - 1)), f32(i32(height - 1))
    where, shares = np.empty(width, np.int32), np.empty(at(2) * width, np.float32)
    for i in range(height):
        _corners(place_, i * width, height, width, where, shares)
        lies(carried_, at(4) * width, where, shares, width, out_, at(4) * i * width)
        for j in range(width):
            k = i * width + j
            two, four = at(2) * k, at(4) * k
            # All four are read and written, for then they are so as one.
            across, down, sure, more = out_[four], out_[four + at(1)], out_[four + at(2)], out_[four + at(3)]
            x = min(max(place_[two], f32(0)), right) + across
            y = min(max(place_[two + at(1)], f32(0)), bottom) + down
            place_[two], place_[two + at(1)] = x, y
            x, y = x - f32(i32(j)), y - f32(i32(i))
            since_[two], since_[two + at(1)] = x, y
            sure *= there[i, j]
            out_[four], out_[four + at(1)], out_[four + at(2)], out_[four + at(3)] = x, y, sure, more


@compiled
def stretched(way: Floats, out: Floats) -> None:
    """By how much of itself what went that ``way`` has grown or shrunk."""
    height, width = at(way.shape[0]), at(way.shape[1])
    flat, half, line = way.ravel(), f32(0.5), at(2) * width
    for i in range(height):
        up, low = at(max(i32(i) - 1, 0)) * line, min(i + at(1), height - at(1)) * line
        out[i, 0], out[i, width - at(1)] = 0, 0
        tall = f32(0) if up == i * line or low == i * line else half
        for j in range(at(1), width - at(1)):
            k, above, below = i * line + at(2) * j, up + at(2) * j, low + at(2) * j
            xx, yx = half * (flat[k + at(2)] - flat[k - at(2)]), half * (flat[k + at(3)] - flat[k - at(1)])
            xy, yy = tall * (flat[below] - flat[above]), tall * (flat[below + at(1)] - flat[above + at(1)])
            out[i, j] = abs(xx + yy + xx * yy - xy * yx)


@compiled
def trust(like: Floats, carried: Floats, stretched: Floats, most: float, out: Floats) -> None:
    """How surely the key frame is found: as ``like`` it as it is, as sure as ``carried`` says where it lies, and fading
    to 0 from where it is ``stretched`` by ``most`` to twice that."""
    like_, carried_, stretched_, out_, by = like.ravel(), carried.ravel(), stretched.ravel(), out.ravel(), f32(1 / most)
    for i in range(at(out.size)):
        out_[i] = like_[i] * carried_[at(4) * i + at(2)] * min(max(f32(2) - by * stretched_[i], f32(0)), f32(1))


@compiled
def share(key: Floats, near: Floats, strength: float, hangs: float, sure: float, new: Floats, held: Floats) -> None:
    """How much is ``new``; and ``held``, of what was shown last, where the key frame is not found ``sure`` enough."""
    key_, near_, new_, held_ = key.ravel(), near.ravel(), new.ravel(), held.ravel()
    strength, hangs, sure = f32(strength), f32(strength) * f32(hangs), f32(sure)
    for i in range(at(new.size)):
        new_[i] = f32(1) - strength * key_[i]
        held_[i] = hangs * near_[i] if key_[i] < sure else f32(0)


@compiled
def visible(flow: Floats, known: Mask, now: Bytes, then: Bytes, light: float, out: Bytes) -> None:
    """1 where what is ``known``, or as bright as ``then``, lay inside of the frame before; else 0."""
    height, width = at(flow.shape[0]), at(flow.shape[1])
    flat, half, light = flow.ravel(), f32(0.5), f32(light)
    right, bottom = f32(i32(width)) - half, f32(i32(height)) - half
    for i in range(height):
        for j in range(width):
            k = at(2) * (i * width + j)
            x, y = f32(i32(j)) + flat[k], f32(i32(i)) + flat[k + at(1)]
            # The least of what has to be more than 0, all in numbers of one kind, as the processor has it.
            most = max(light - abs(f32(now[i, j]) - f32(then[i, j])), f32(known[i, j]))
            margin = min(min(x + half, right - x), min(y + half, bottom - y))
            out[i, j] = min(most, margin) > f32(0)


@compiled
def quartered(picture: Bytes, height: int, width: int, out: Bytes) -> None:
    """The means of 4x4 pixels, flat, of a picture of three bytes a pixel whose sides are multiples of that: as OpenCV's
    resize has them, in less than a sixth of the time."""
    columns, stride = at(width) // at(4), at(3) * at(width)
    runs = columns // at(RUN)
    for row in range(at(height) // at(4)):
        here, to = at(4) * row * stride, at(3) * row * columns
        quarter(picture, here, stride, runs, out, to)
        for byte in range(at(3 * RUN) * runs, at(3) * columns):
            place, total = here + at(12) * (byte // at(3)) + byte % at(3), u32(0)
            for i in range(at(4)):
                for j in range(at(4)):
                    total = u32(total + u32(picture[place + i * stride + at(3) * j]))
            out[to + byte] = u32(total + u32(7) + (total >> u32(4) & 1)) >> u32(4)


@compiled
def products(now: Bytes, then: Bytes, light: int, out: Floats) -> None:
    """Means of each block of a quarter of the pixels, (rows, columns, 6): with slopes x and y and change t, but for the
    ``light``, of xx, xy, yy, xt, yt and tt."""
    rows, columns = at(out.shape[0]), at(out.shape[1])
    high, wide = at(now.shape[0] - 2), at(now.shape[1] - 2)
    for row in range(rows):
        top, bottom = at(1) + row * high // rows, at(1) + (row + at(1)) * high // rows
        for column in range(columns):
            left, right = at(1) + column * wide // columns, at(1) + (column + at(1)) * wide // columns
            xx, xy, yy, xt, yt, tt = i32(0), i32(0), i32(0), i32(0), i32(0), i32(0)
            for i in range(top, bottom, at(2)):
                for j in range(left, right, at(2)):
                    x = i32(i32(now[i, j + at(1)]) - i32(now[i, j - at(1)]))
                    y = i32(i32(now[i + at(1), j]) - i32(now[i - at(1), j]))
                    t = i32(i32(then[i, j]) - i32(now[i, j]) + i32(light))
                    xx, xy, yy = i32(xx + x * x), i32(xy + x * y), i32(yy + y * y)
                    xt, yt, tt = i32(xt + x * t), i32(yt + y * t), i32(tt + t * t)
            share = f32(0.25) / f32(i32(((bottom - top + at(1)) // at(2)) * ((right - left + at(1)) // at(2))))
            out[row, column, 0], out[row, column, 1], out[row, column, 2] = share * xx, share * xy, share * yy
            share *= f32(2)
            out[row, column, 3], out[row, column, 4], out[row, column, 5] = share * xt, share * yt, f32(2) * share * tt


@compiled
def agreed(means: Floats, noise: float, other: float, rounds: int) -> tuple[float, float, float]:
    """Motion across and down of blocks whose ``products`` these are, each counting the less the more of its change is
    left with that; and of those that are not plain, the share with less than ``other`` left."""
    x, y, share = 0.0, 0.0, 0.0
    for _ in range(rounds):
        a, b, c, e, f, alike, some = 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0
        for i in range(at(means.shape[0])):
            for j in range(at(means.shape[1])):
                xx, xy, yy, xt, yt, tt = means[i, j]
                left = tt - 2 * (x * xt + y * yt) + x * x * xx + 2 * x * y * xy + y * y * yy
                weight = 1 / (noise + left) ** 2
                a, b, c, e, f = a + weight * xx, b + weight * xy, c + weight * yy, e + weight * xt, f + weight * yt
                plain = xx + yy <= noise and tt < other
                some += not plain
                alike += not plain and left < other
        share = alike / some if some else 1.0
        if a * c - b * b <= 1e-6 * a * c:  # a wall, or stripes: nothing says that it moved
            return 0.0, 0.0, share
        x, y = (c * e - b * f) / (a * c - b * b), (a * f - b * e) / (a * c - b * b)
    return x, y, share


@compiled
def shifted(picture: Bytes, x: float, y: float, out: Bytes) -> None:
    """(H, 4 W) of bytes, four a pixel, as they lie x and y pixels off, less than one; but for the outermost columns."""
    height, width = at(picture.shape[0]), at(picture.shape[1])
    aside, down = at(8 if x >= 0 else 0), i32(1 if y >= 0 else -1)
    u, v = u32(i32(abs(x) * f32(16) + f32(0.5))), u32(i32(abs(y) * f32(16) + f32(0.5)))
    a, b, c, d = u32((16 - u) * (16 - v)), u32(u * (16 - v)), u32((16 - u) * v), u32(u * v)
    for i in range(height):
        line, other = picture[i], picture[at(min(max(i32(i) + down, 0), i32(height) - 1))]
        for k in range(at(4)):
            out[i, k], out[i, width - at(1) - k] = line[k], line[width - at(1) - k]
        for k in range(width - at(8)):
            j, beside = k + at(4), k + aside
            found = u32(line[j]) * a + u32(line[beside]) * b + u32(other[j]) * c + u32(other[beside]) * d
            out[i, j] = u32(found + u32(128)) >> u32(8)
