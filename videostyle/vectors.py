"""What loops do to eight pixels at a time, above all to compare a patch of a picture with one that lies between the
pixels of another.

Written out in LLVM's own instructions, for its compiler does not see that the rows of a patch can stay where they are:
loops take three times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from videostyle.flow import RUN

SIDE = 8
"""Pixels of a patch's rows, and its rows."""
WIDE = 16
"""Bytes that a run of pixels, of three bytes each, is reckoned with: it comes first."""
OUTSIDE = 0, 255, 0, 0
"""Of four bytes, what lies where there is nothing."""
SPAN, SHARES, _AHEAD = 64, 5, 3
"""Runs that lie side by side and are found at once, what is known of each, and rows ahead that they are fetched."""
NOTHING, STILL, MOVED, PAINTING, HELD = 0, 1, 2, 3, 6
_FLOATS = ir.VectorType(ir.FloatType(), SIDE)
_EIGHTS, _SHORTS = (ir.VectorType(ir.IntType(bits), WIDE) for bits in (8, 16))
_NOTHING = ir.Constant(_FLOATS, ir.Undefined)
_kinds: Any = types  # their stubs are half typed
_PLANE, _INDEX, _FLOAT = _kinds.Array(types.float32, 1, "C"), types.uintp, types.float32
_BYTES = _kinds.Array(types.uint8, 1, "C")
_FOUR = _kinds.UniTuple(_FLOAT, 4)
_FAST = ("fast",)


def _instruction(function: Callable[..., Any]) -> Callable[..., Any]:
    """As loops call it: what says how it is compiled is called with the types of what they call it with, and one more
    in front."""
    return cast(Callable[..., Any], intrinsic(function))


class Lanes:
    """SIDE numbers that are reckoned with at once, with others or with a number."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def _with(self, kind: str, first: Lanes | float, second: Lanes | float) -> Lanes:
        a, b = (
            each.value if isinstance(each, Lanes) else ir.Constant(_FLOATS, [float(each)] * SIDE)
            for each in (first, second)
        )
        return Lanes(self.builder, getattr(self.builder, kind)(a, b, flags=_FAST))

    def __add__(self, other: Lanes | float) -> Lanes:
        return self._with("fadd", self, other)

    def __sub__(self, other: Lanes | float) -> Lanes:
        return self._with("fsub", self, other)

    def __mul__(self, other: Lanes | float) -> Lanes:
        return self._with("fmul", self, other)

    def __rsub__(self, other: float) -> Lanes:
        return self._with("fsub", other, self)

    def __rmul__(self, other: float) -> Lanes:
        return self._with("fmul", other, self)

    def __rtruediv__(self, other: float) -> Lanes:
        return self._with("fdiv", other, self)

    def rsqrt(self) -> Lanes:
        """One over the square root, to five digits: a guess by halving the exponent, and two steps of Newton's. To
        divide by a root takes twice as long."""
        words, builder = ir.VectorType(ir.IntType(32), SIDE), self.builder
        halved = builder.lshr(builder.bitcast(self.value, words), ir.Constant(words, [1] * SIDE))
        guess = builder.sub(ir.Constant(words, [0x5F375A86] * SIDE), halved)
        found, half = Lanes(builder, builder.bitcast(guess, _FLOATS)), 0.5 * self
        for _ in range(2):
            found = found * (1.5 - half * found * found)
        return found


class Row:
    """What lies before and behind a place of a plane: SIDE numbers from so far behind it on.

    above, below: the same of other places.
    """

    def __init__(self, builder: Any, plane: Any, *places: Any) -> None:
        self._builder, self._plane, self._places = builder, plane, places

    def of(self, aside: Any) -> Row:
        """The same, further on: by so many numbers, or by what says how many."""
        aside = _whole(aside) if isinstance(aside, int) else aside
        return Row(self._builder, self._plane, *(self._builder.add(place, aside) for place in self._places))

    @property
    def above(self) -> Row:
        return Row(self._builder, self._plane, self._places[1])

    @property
    def below(self) -> Row:
        return Row(self._builder, self._plane, self._places[2])

    def __getitem__(self, aside: int) -> Lanes:
        return Lanes(self._builder, _load(self._builder, self._plane, self.of(aside)._places[0]))

    def __setitem__(self, aside: int, value: Lanes) -> None:
        place = _place(self._builder, self._plane, self.of(aside)._places[0])
        self._builder.store(value.value, place, align=4)


def along(formula: Callable[[Row, Lanes], None]) -> Callable[[NDArray[np.float32], int, int, int, int, float], None]:
    """A loop that does what the formula says to ``count`` numbers of a plane, a multiple of SIDE, from a place on, with
    those of the places ``above`` and ``below``, and a number in all lanes.

    Compilers of loops ask before each row whether what is written lies where something is read: for rows of a few
    hundred pixels that takes as long as all the rest.
    """

    def run(typing: Any, plane: Any, here: Any, above: Any, below: Any, count: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            row = Row(builder, _data(context, builder, args[0]), *args[1:4])
            value = Lanes(builder, _spread(builder, args[5]))
            with cgutils.for_range_slice(builder, _whole(0), args[4], _whole(SIDE)) as (aside, _):
                formula(row.of(aside), value)
            return context.get_dummy_value()

        return types.none(_PLANE, _INDEX, _INDEX, _INDEX, _INDEX, _FLOAT), generate

    return _instruction(run)


@_instruction
def differ(
    typing: Any, first: Any, across: Any, down: Any, here: Any, second: Any, there: Any, pitch: Any, u: Any, v: Any
) -> Any:
    """How a patch at ``here`` of the first picture differs from the one at ``there`` and shares u and v of a pixel more
    of the second one: sums of the difference, its square, and its products with ``across`` and ``down``.

    Pictures are float32, flat, with rows of ``pitch`` pixels.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first, across, down, second = (_data(context, builder, args[k]) for k in (0, 1, 2, 4))
        rows = _rows(context, builder, first, args[3], second, *args[5:])
        return _sums(context, builder, (across, down), rows)

    return _FOUR(_PLANE, _PLANE, _PLANE, _INDEX, _PLANE, _INDEX, _INDEX, _FLOAT, _FLOAT), generate


@_instruction
def moments(typing: Any, plane: Any, across: Any, down: Any, here: Any, pitch: Any) -> Any:
    """Sums of a patch of a plane, of its square, and of its products with ``across`` and ``down``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (plane, *others), here = [_data(context, builder, args[k]) for k in range(3)], args[3]
        lines = []
        for _ in range(SIDE):
            lines.append((here, _load(builder, plane, here)))
            here = builder.add(here, args[4])
        return _sums(context, builder, others, lines)

    return _FOUR(_PLANE, _PLANE, _PLANE, _INDEX, _INDEX), generate


@_instruction
def stretch(typing: Any, values: Any, cells: Any, between: Any, out: Any) -> Any:
    """Write for each of ``cells``, a multiple of SIDE, the value there and ``between`` of the way to the next one."""
    indices = _kinds.Array(types.int64, 1, "C")

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values, between, out = (_data(context, builder, args[k]) for k in (0, 2, 3))
        cells = context.make_array(indices)(context, builder, args[1])
        count = builder.extract_value(cells.shape, 0)
        with cgutils.for_range_slice(builder, _whole(0), count, _whole(SIDE)) as (first, _):
            places = [builder.load(builder.gep(cells.data, [builder.add(first, _whole(k))])) for k in range(SIDE)]
            here, beside = _pairs(builder, values, places)
            share = _load(builder, between, first)
            builder.store(_between(builder, here, beside, share), _place(builder, out, first), align=4)
        return context.get_dummy_value()

    return types.none(_PLANE, indices, _PLANE, _PLANE), generate


@_instruction
def split(
    typing: Any, values: Any, start: Any, count: Any, out: Any, even: Any, odd: Any, by_even: Any, by_odd: Any
) -> Any:
    """Write ``count`` numbers, a multiple of SIDE, of every second one from ``start`` on to ``even``, of the others to
    ``odd``, each times a number."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values, out = (_data(context, builder, args[k]) for k in (0, 3))
        with cgutils.for_range_slice(builder, _whole(0), args[2], _whole(SIDE)) as (place, _):
            first = builder.add(args[1], builder.mul(place, _whole(2)))
            rows = [_load(builder, values, builder.add(first, _whole(k))) for k in (0, SIDE)]
            for k, (to, by) in enumerate(zip(args[4:6], args[6:], strict=True)):
                lanes = ir.Constant(ir.VectorType(ir.IntType(32), SIDE), list(range(k, 2 * SIDE, 2)))
                found = builder.fmul(builder.shuffle_vector(*rows, lanes), _spread(builder, by), _FAST)
                builder.store(found, _place(builder, out, builder.add(to, place)), align=4)
        return context.get_dummy_value()

    return types.none(_PLANE, _INDEX, _INDEX, _PLANE, _INDEX, _INDEX, _FLOAT, _FLOAT), generate


@_instruction
def sample(
    typing: Any, work: Any, u: Any, v: Any, grey: Any, mean: Any, count: Any, column: Any, row: Any, right: Any,
    bottom: Any, picture: Any, corner: Any, pitch: Any,
) -> Any:  # fmt: skip
    """Of ``count`` pixels of a row, a multiple of SIDE, every second one from ``column`` on: look up where they flow
    to, and write by how much that differs to ``grey``, and the mean of both to ``mean``. u, v, grey, mean: where each
    row is in ``work``. right, bottom: the outermost pixels of the picture. corner: where that begins, with rows of
    ``pitch``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        work, picture = (_data(context, builder, args[k]) for k in (0, 10))
        ints = ir.VectorType(ir.IntType(32), SIDE)

        def within(place: Any, last: Any) -> tuple[Any, Any]:
            """Whole pixels, and what is more."""
            place = _smaller(builder, _larger(builder, place, ir.Constant(_FLOATS, [0.0] * SIDE)), last)
            whole = builder.fptosi(place, ints)
            return whole, builder.fsub(place, builder.sitofp(whole, _FLOATS), _FAST)

        with cgutils.for_range_slice(builder, _whole(0), args[5], _whole(SIDE)) as (aside, _):
            u, v, grey = (_load(builder, work, builder.add(args[k], aside)) for k in (1, 2, 3))
            last = [_spread(builder, args[k]) for k in (8, 9)]
            here = builder.uitofp(builder.mul(aside, _whole(2)), ir.FloatType())
            column = _spread(builder, builder.fadd(args[6], here, _FAST))
            column = builder.fadd(column, ir.Constant(_FLOATS, [2.0 * k for k in range(SIDE)]), _FAST)
            column = _smaller(builder, column, last[0])
            left, across = within(builder.fadd(column, u, _FAST), last[0])
            top, down = within(builder.fadd(_spread(builder, args[7]), v, _FAST), last[1])
            wide = _spread(builder, builder.trunc(args[12], ints.element), ints)
            place, lines = builder.add(builder.mul(top, wide), left), []
            starts = [
                builder.add(args[11], builder.zext(builder.extract_element(place, _number(k)), ir.IntType(64)))
                for k in range(SIDE)
            ]
            for _ in range(2):
                here, beside = _pairs(builder, picture, starts)
                lines.append(_between(builder, here, beside, across))
                starts = [builder.add(start, args[12]) for start in starts]
            found, own = Lanes(builder, _between(builder, lines[0], lines[1], down)), Lanes(builder, grey)
            to = Row(builder, work, aside)
            to.of(args[4])[0], to.of(args[3])[0] = 0.5 * (found + own), found - own
        return context.get_dummy_value()

    kinds = _PLANE, _INDEX, _INDEX, _INDEX, _INDEX, _INDEX, _FLOAT, _FLOAT, _FLOAT, _FLOAT, _PLANE, _INDEX, _INDEX
    return types.none(*kinds), generate


def _pairs(builder: Any, values: Any, places: list[Any]) -> tuple[Any, Any]:
    """What lies at each place, and after it."""
    pair = ir.VectorType(ir.FloatType(), 2)
    found = [
        builder.load(builder.bitcast(builder.gep(values, [place]), pair.as_pointer()), align=4) for place in places
    ]
    while len(found) > 1:
        lanes = list(range(2 * found[0].type.count))
        order = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)
        found = [builder.shuffle_vector(a, b, order) for a, b in zip(found[::2], found[1::2], strict=True)]
    here, beside = (_lanes(builder, found[0], list(range(k, 2 * SIDE, 2))) for k in (0, 1))
    return here, beside


@_instruction
def lies(typing: Any, values: Any, stride: Any, where: Any, shares: Any, count: Any, out: Any, to: Any) -> Any:
    """Write to a place ``count`` times four numbers: what lies between those that ``where`` says, those beside them,
    and those ``stride`` numbers below. shares: ``count`` of how far on the way to what is beside, and of below."""
    ints = _kinds.Array(types.int32, 1, "C")

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values, where, shares, out = (_data(context, builder, args[k], signature.args[k]) for k in (0, 2, 3, 5))
        stride, count, to = args[1], args[4], args[6]
        with cgutils.for_range_slice(builder, _whole(0), count, _whole(1)) as (pixel, _):
            place = builder.zext(builder.load(builder.gep(where, [pixel]), align=4), _whole(0).type)
            rows = [_load(builder, values, start) for start in (place, builder.add(place, stride))]
            u, v = (builder.load(builder.gep(shares, [each]), align=4) for each in (pixel, builder.add(pixel, count)))
            both = _between(builder, rows[0], rows[1], _spread(builder, v))
            here, beside = (_lanes(builder, both, list(range(k, k + 4))) for k in (0, 4))
            found = _between(builder, here, beside, _spread(builder, u, here.type))
            place = builder.gep(out, [builder.add(to, builder.mul(pixel, _whole(4)))])
            builder.store(found, _cast(builder, place, found.type), align=4)
        return context.get_dummy_value()

    return types.none(_PLANE, _INDEX, ints, _PLANE, _INDEX, _PLANE, _INDEX), generate


@_instruction
def misses(typing: Any, now: Any, here: Any, then: Any, stride: Any, where: Any, count: Any, out: Any) -> Any:
    """Write by how much ``count`` times four bytes from ``here`` on differ from what ``where`` says: ``count`` numbers
    each, of which bytes of then it begins with, how many of 256 are of that pixel and, in the upper half, of the one
    beside it, the same of those ``stride`` bytes below, and how many are OUTSIDE."""
    ints = _kinds.Array(types.int32, 1, "C")
    bytes_, shorts, words = (
        ir.VectorType(ir.IntType(8), 4),
        ir.VectorType(ir.IntType(16), 8),
        ir.VectorType(ir.IntType(32), 4),
    )

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        now, then, where, out = (_data(context, builder, args[k], signature.args[k]) for k in (0, 2, 4, 6))
        here, stride, count = args[1], args[3], args[5]
        eight = ir.VectorType(ir.IntType(8), 8)
        # Pixels side by side, byte by byte, each in two: what comes of both halves of a word is then one channel.
        order = ir.Constant(ir.VectorType(ir.IntType(32), 16), [k for c in range(4) for k in (c, 8, c + 4, 8)])

        with cgutils.for_range_slice(builder, _whole(0), count, _whole(1)) as (pixel, _):

            def number(plane: int) -> Any:
                return builder.load(
                    builder.gep(where, [builder.add(pixel, builder.mul(count, _whole(plane)))]), align=4
                )

            place, total = builder.gep(then, [builder.zext(number(0), _whole(0).type)]), None
            for plane in (1, 2):
                row = builder.load(_cast(builder, place, eight), align=1)
                row = builder.bitcast(builder.shuffle_vector(row, ir.Constant(eight, [0] * 8), order), shorts)
                row = builder.mul(row, builder.bitcast(_spread(builder, number(plane), words), shorts))
                total = row if total is None else builder.add(total, row)
                place = builder.gep(place, [stride])
            total = builder.bitcast(total, words)
            low = builder.and_(total, ir.Constant(words, [0xFFFF] * 4))
            found = builder.add(low, builder.lshr(total, ir.Constant(words, [16] * 4)))
            beyond = builder.mul(_spread(builder, number(3), words), ir.Constant(words, list(OUTSIDE)))
            found = builder.add(builder.add(found, beyond), ir.Constant(words, [128] * 4))
            found = builder.lshr(found, ir.Constant(words, [8] * 4))
            aside = builder.add(here, builder.mul(pixel, _whole(4)))
            own = builder.zext(builder.load(_cast(builder, builder.gep(now, [aside]), bytes_), align=1), words)
            off = builder.sub(own, found)
            off = builder.select(builder.icmp_signed("<", off, ir.Constant(words, [0] * 4)), builder.neg(off), off)
            builder.store(builder.trunc(off, bytes_), _cast(builder, builder.gep(out, [aside]), bytes_), align=1)
        return context.get_dummy_value()

    return types.none(_BYTES, _INDEX, _BYTES, _INDEX, ints, _INDEX, _BYTES), generate


@_instruction
def sort(typing: Any, maps: Any, count: Any, shares: Any, kinds: Any) -> Any:
    """What is to be done to each run of a row, as ``paint`` has it: to ``count``, a multiple of SIDE, but for the last
    SIDE.

    maps: ``count`` numbers each: x and y of how far the key frame moved, and the same of the frame before; of 256, how
    much of that is held at left edges and at middles, and how much is new there. shares: RUN each of runs, of how much
    is held of their pixels, ``count`` of them, and then of how much is new.
    """
    ints, words = _kinds.Array(types.int32, 1, "C"), ir.VectorType(ir.IntType(32), SIDE)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        maps, shares, kinds = (_data(context, builder, args[k], signature.args[k]) for k in (0, 2, 3))
        count = args[1]

        def each(value: int) -> Any:
            return ir.Constant(words, [value] * SIDE)

        def place(plane: int, run: Any) -> Any:
            return builder.add(run, builder.mul(count, _whole(plane)))

        def whole(plane: int, run: Any) -> Any:
            share = _load(builder, maps, place(plane, run))
            return builder.fptosi(builder.fadd(share, ir.Constant(_FLOATS, [0.5] * SIDE), _FAST), words)

        def two(first: list[Any], second: list[Any]) -> Any:
            """Means, by fourths, of one side; and of the other one in the upper half."""
            found = []
            for edge, middle in (first, second):
                four = builder.add(builder.add(edge, edge), builder.add(edge, middle))
                found.append(builder.lshr(builder.add(four, each(2)), each(2)))
            return builder.or_(found[0], builder.shl(found[1], each(16)))

        with cgutils.for_range_slice(builder, _whole(0), builder.sub(count, _whole(SIDE)), _whole(SIDE)) as (run, _):
            some = []
            for plane, to in ((4, 0), (6, 1)):
                left, middle = whole(plane, run), whole(plane + 1, run)
                right = whole(plane, builder.add(run, _whole(1)))
                some.append(builder.add(builder.add(left, middle), right))
                halves = two([left, middle], [middle, left]), two([middle, right], [right, middle])
                lanes = [k // 2 + SIDE * (k % 2) for k in range(2 * SIDE)]
                four = builder.shuffle_vector(*halves, ir.Constant(ir.VectorType(ir.IntType(32), 2 * SIDE), lanes))
                at = builder.gep(shares, [builder.mul(place(to, run), _whole(RUN))])
                builder.store(four, _cast(builder, at, four.type), align=2)
            moved = ir.Constant(ir.VectorType(ir.IntType(1), SIDE), [0] * SIDE)
            for plane in (0, 1):
                way = _load(builder, maps, place(plane, run))
                for order, limit in ((">=", 1 / 64), ("<=", -1 / 64)):  # what is less, is rounded to nothing
                    far = builder.fcmp_ordered(order, way, ir.Constant(_FLOATS, [limit] * SIDE))
                    moved = builder.or_(moved, far)
            kept, fresh = some
            covered = builder.icmp_signed("==", fresh, each(3 * 256))
            below = builder.select(covered, each(NOTHING), builder.select(moved, each(MOVED), each(STILL)))
            over = builder.select(builder.icmp_signed(">", kept, each(0)), each(HELD), each(PAINTING))
            over = builder.select(builder.icmp_signed(">", fresh, each(0)), over, each(NOTHING))
            builder.store(builder.add(below, over), _cast(builder, builder.gep(kinds, [run]), words), align=4)
        return context.get_dummy_value()

    return types.none(_PLANE, _INDEX, _kinds.Array(types.int16, 1, "C"), ints), generate


@_instruction
def quarter(typing: Any, picture: Any, here: Any, stride: Any, count: Any, out: Any, to: Any) -> Any:
    """Write the means of 4x4 pixels of three bytes each, halves rounded to even, RUN of them side by side and so
    ``count`` times: of those from byte ``here`` on, in rows of ``stride``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        picture, out = (_data(context, builder, args[k], _BYTES) for k in (0, 4))
        run, wide = 3 * RUN, ir.VectorType(ir.IntType(16), 12 * RUN)
        kind, order = ir.VectorType(ir.IntType(8), 12 * RUN), ir.VectorType(ir.IntType(32), run)
        short = ir.VectorType(ir.IntType(16), run)
        with cgutils.for_range_slice(builder, _whole(0), args[3], _whole(1)) as (number, _):
            place = builder.add(args[1], builder.mul(number, _whole(12 * RUN)))
            sums = ir.Constant(wide, [0] * 12 * RUN)
            for _ in range(4):
                row = builder.load(_cast(builder, builder.gep(picture, [place]), kind), align=1)
                sums = builder.add(sums, builder.zext(row, wide))
                place = builder.add(place, args[2])
            total, sixteenth = ir.Constant(short, [7] * run), ir.Constant(short, [4] * run)
            for k in range(4):
                lanes = ir.Constant(order, [12 * (byte // 3) + 3 * k + byte % 3 for byte in range(run)])
                total = builder.add(total, builder.shuffle_vector(sums, sums, lanes))
            exact = builder.sub(total, ir.Constant(short, [7] * run))
            odd = builder.and_(builder.lshr(exact, sixteenth), ir.Constant(short, [1] * run))
            found = builder.trunc(builder.lshr(builder.add(total, odd), sixteenth), ir.VectorType(ir.IntType(8), run))
            place = builder.gep(out, [builder.add(args[5], builder.mul(number, _whole(run)))])
            builder.store(found, _cast(builder, place, found.type), align=1)
        return context.get_dummy_value()

    return types.none(_BYTES, _INDEX, _INDEX, _INDEX, _BYTES, _INDEX), generate


@_instruction
def unlike(typing: Any, kinds: Any, first: Any) -> Any:
    """Where the next of ``kinds`` is that is another one than that at ``first``; there is one within the next SIDE of
    their end."""
    ints = _kinds.Array(types.int32, 1, "C")
    words, bits = ir.VectorType(ir.IntType(32), SIDE), ir.IntType(SIDE)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = _data(context, builder, args[0], ints)
        kind = _spread(builder, builder.load(builder.gep(kinds, [args[1]])), words)
        once: Any = cgutils.alloca_once_value
        place = once(builder, args[1])
        look, done = builder.append_basic_block("look"), builder.append_basic_block("done")
        builder.branch(look)
        builder.position_at_end(look)
        here = builder.load(place)
        others = builder.load(_cast(builder, builder.gep(kinds, [here]), words), align=4)
        found = builder.bitcast(builder.icmp_signed("!=", others, kind), bits)
        builder.store(builder.add(here, _whole(SIDE)), place)
        builder.cbranch(builder.icmp_unsigned("==", found, bits(0)), look, done)
        builder.position_at_end(done)
        return builder.add(here, builder.zext(builder.cttz(found, ir.IntType(1)(1)), here.type))

    return _INDEX(ints, _INDEX), generate


@_instruction
def paint(
    typing: Any, kind: Any, start: Any, goal: Any, share: Any, shown: Any, painting: Any, since: Any, last: Any,
    shares: Any, count: Any, span: Any, first: Any, beyond: Any, fresh: Any, to: Any, stride: Any, out: Any,
) -> Any:  # fmt: skip
    """Put runs of a row together, and write each in WIDE bytes, of which what is too much is to be written over.

    kind: NOTHING, or ``start`` and ``share`` of 256 ``goal``, STILL or MOVED to ``since``; and NOTHING, or PAINTING,
    over that, ``new`` of 256; or HELD, the same with ``held`` of what was shown, moved to ``last``, over the painting.

    since, last: of runs from ``span`` on, SPAN numbers each: of the first byte at their upper left, and of how many of
    256 are of that pixel, the one beside, the one below and both, in both halves of a number. shares, count: as of
    ``sort``. first, beyond: of these runs, and after them. fresh, to: bytes where the row begins, in the painting and
    in ``out``. stride: bytes of a row.
    """
    ints = _kinds.Array(types.int32, 1, "C")
    halves = _kinds.Array(types.int16, 1, "C")
    kinds = _INDEX, _BYTES, _BYTES, types.uint32, _BYTES, _BYTES, ints, ints, halves, *[_INDEX] * 7, _BYTES

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start, goal, shown, painting, since, last, shares, out = (
            _data(context, builder, args[k], kinds[k]) for k in (1, 2, 4, 5, 6, 7, 8, 16)
        )
        kind, share, (count, span, first, beyond, fresh, to, stride) = args[0], args[3], args[9:16]
        held, new = shares, builder.gep(shares, [builder.mul(count, _whole(RUN))])

        def pictures(below: int, place: Any, run: Any) -> list[Any]:
            if below == STILL:
                return [_pixels(builder, builder.gep(picture, [place]), WIDE) for picture in (start, goal)]
            return [_looked_up(builder, picture, since, run, stride) for picture in (start, goal)]

        def put(below: int, over: int, edge: Any) -> None:
            aside, run = builder.mul(edge, _whole(3 * RUN)), builder.sub(edge, span)
            place, found = builder.add(to, aside), None
            if below != NOTHING:
                first_one, second_one = pictures(below, place, run)
                found = _mixed(builder, first_one, second_one, _short(builder, share))
            if over != NOTHING:
                top = _pixels(builder, builder.gep(painting, [builder.add(fresh, aside)]), 3 * RUN)
                if over == HELD:
                    kept = _looked_up(builder, shown, last, run, stride)
                    top = _mixed(builder, top, kept, _weight(builder, held, edge))
                found = top if found is None else _mixed(builder, found, top, _weight(builder, new, edge))
            place = builder.bitcast(builder.gep(out, [place]), _EIGHTS.as_pointer())
            builder.store(builder.trunc(found, _EIGHTS), place, align=1)

        for below, over in list(product((NOTHING, STILL, MOVED), (NOTHING, PAINTING, HELD)))[1:]:
            asked, runs = builder.icmp_unsigned("==", kind, _whole(below + over)), (first, beyond, _whole(1))
            with builder.if_then(asked), cgutils.for_range_slice(builder, *runs) as (edge, _):
                put(below, over, edge)
        return context.get_dummy_value()

    return types.none(*kinds), generate


@_instruction
def enhance(
    typing: Any, picture: Any, above: Any, here: Any, under: Any, share: Any, shares: Any, count: Any, first: Any,
    beyond: Any, out: Any,
) -> Any:  # fmt: skip
    """Write runs of a row, as ``paint`` does, sharpened by as much as is new, as of ``sort``: all of that is the
    ``share`` of 65536, less than half, of nine times what each pixel differs from the mean of 3x3."""
    halves = _kinds.Array(types.int16, 1, "C")
    words = ir.VectorType(ir.IntType(32), WIDE)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        picture, out = (_data(context, builder, args[k], _BYTES) for k in (0, 9))
        count = args[6]
        new = builder.gep(_data(context, builder, args[5], halves), [builder.mul(count, _whole(RUN))])
        # Of 16 bits, as processors multiply, and keep the upper half of what comes out.
        factor = builder.sext(_short(builder, args[4]), words)
        half = _short(builder, builder.sdiv(ir.Constant(ir.IntType(32), 1 << 15), args[4]))
        with cgutils.for_range_slice(builder, args[7], args[8], _whole(1)) as (run, _):
            aside, own, around = builder.mul(run, _whole(3 * RUN)), None, ir.Constant(_SHORTS, [0] * WIDE)
            for row in args[1:4]:
                for beside in (-3, 0, 3):
                    place = builder.add(row, builder.add(aside, _whole(beside)))
                    tap = _pixels(builder, builder.gep(picture, [place]), WIDE)
                    own = tap if row is args[2] and not beside else own
                    around = builder.add(around, tap)
            off = builder.add(builder.sub(builder.mul(own, ir.Constant(_SHORTS, [9] * WIDE)), around), half)
            more = builder.ashr(builder.mul(builder.sext(off, words), factor), ir.Constant(words, [16] * WIDE))
            sharp = builder.add(own, builder.trunc(more, _SHORTS))
            for order, limit in (("<", 0), (">", 255)):
                limits = ir.Constant(_SHORTS, [limit] * WIDE)
                sharp = builder.select(builder.icmp_signed(order, sharp, limits), limits, sharp)
            found = _mixed(builder, own, sharp, _weight(builder, new, run))
            place = builder.gep(out, [builder.add(args[2], aside)])
            builder.store(builder.trunc(found, _EIGHTS), _cast(builder, place, _EIGHTS), align=1)
        return context.get_dummy_value()

    places = [_INDEX] * 3
    return types.none(_BYTES, *places, types.int32, halves, _INDEX, _INDEX, _INDEX, _BYTES), generate


def _pixels(builder: Any, place: Any, size: int) -> Any:
    """As many bytes, in WIDE lanes."""
    kind = ir.VectorType(ir.IntType(8), size)
    found = builder.load(builder.bitcast(place, kind.as_pointer()), align=1)
    if size < WIDE:
        found = _lanes(builder, found, [*range(size), *[0] * (WIDE - size)])
    return builder.zext(found, _SHORTS)


def _looked_up(builder: Any, picture: Any, where: Any, run: Any, stride: Any) -> Any:
    """Of a picture, what lies ``where`` that says for a run."""

    def number(plane: int) -> Any:
        return builder.load(builder.gep(where, [builder.add(run, _whole(plane * SPAN))]), align=4)

    pairs = ir.VectorType(ir.IntType(32), WIDE // 2)  # a number that is there twice is spread as it is read
    place, total = builder.gep(picture, [builder.zext(number(0), _whole(0).type)]), ir.Constant(_SHORTS, [128] * WIDE)
    # It comes to three rows below soon, and the processor does not see that.
    far = builder.gep(place, [builder.mul(stride, _whole(_AHEAD))])
    kind = ir.FunctionType(ir.VoidType(), [place.type, *[ir.IntType(32)] * 3])
    insert: Any = cgutils.get_or_insert_function
    fetch = insert(builder.module, kind, "llvm.prefetch.p0")
    builder.call(fetch, [far, *map(_number, (0, 3, 1))])  # to read, and often, from data
    for below in (0, 1):
        for beside in (0, 1):
            tap = _pixels(builder, builder.gep(place, [_whole(3 * beside)]), WIDE)
            share = builder.bitcast(_spread(builder, number(1 + 2 * below + beside), pairs), _SHORTS)
            total = builder.add(total, builder.mul(tap, share))
        place = builder.gep(place, [stride])
    return builder.lshr(total, ir.Constant(_SHORTS, [8] * WIDE))


def _weight(builder: Any, shares: Any, run: Any) -> Any:
    """Of a run's pixels; the bytes beyond them are nothing."""
    four = ir.VectorType(ir.IntType(16), RUN)
    place = builder.gep(shares, [builder.mul(run, _whole(RUN))])
    return _lanes(builder, builder.load(_cast(builder, place, four), align=2), [min(k // 3, 3) for k in range(WIDE)])


def _mixed(builder: Any, first: Any, second: Any, share: Any) -> Any:
    rest = builder.sub(ir.Constant(_SHORTS, [256] * WIDE), share)
    total = builder.add(builder.mul(first, rest), builder.mul(second, share))
    return builder.lshr(builder.add(total, ir.Constant(_SHORTS, [128] * WIDE)), ir.Constant(_SHORTS, [8] * WIDE))


def _short(builder: Any, value: Any) -> Any:
    """In all lanes."""
    lane = builder.trunc(value, _SHORTS.element)
    first = builder.insert_element(ir.Constant(_SHORTS, ir.Undefined), lane, _number(0))
    return _lanes(builder, first, [0] * WIDE)


@_instruction
def cover(
    typing: Any, first: Any, here: Any, second: Any, there: Any, pitch: Any, u: Any, v: Any,
    x: Any, y: Any, x_sum: Any, y_sum: Any, sums: Any, to: Any, wide: Any,
) -> Any:  # fmt: skip
    """Add a patch's flow, x and y, to ``x_sum`` and ``y_sum``, and its weight to ``sums``: for each pixel, one over how
    much it differs. to: where, in rows of ``wide`` pixels. The rest as of ``differ``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first, second, *planes = (_data(context, builder, args[k]) for k in (0, 2, 9, 10, 11))
        flow = _spread(builder, args[7]), _spread(builder, args[8]), None
        to, wide = args[12:]
        one = ir.Constant(_FLOATS, [1.0] * SIDE)
        for _, off in _rows(context, builder, first, args[1], second, *args[3:7]):
            off = _larger(builder, _larger(builder, off, builder.fneg(off)), one)
            weight = builder.fdiv(one, off, _FAST)
            for plane, value in zip(planes, flow, strict=True):
                more = weight if value is None else builder.fmul(weight, value, _FAST)
                place = _place(builder, plane, to)
                builder.store(builder.fadd(builder.load(place, align=4), more, _FAST), place, align=4)
            to = builder.add(to, wide)
        return context.get_dummy_value()

    return types.none(
        _PLANE, _INDEX, _PLANE, _INDEX, _INDEX, _FLOAT, _FLOAT, _FLOAT, _FLOAT, _PLANE, _PLANE, _PLANE, _INDEX, _INDEX
    ), generate


def _rows(
    context: Any, builder: Any, first: Any, here: Any, second: Any, there: Any, pitch: Any, u: Any, v: Any
) -> Iterator[tuple[Any, Any]]:
    """Of each row of a patch, where it is, and by how much the second picture is brighter."""
    u, v, above = _spread(builder, u), _spread(builder, v), None
    for row in range(SIDE + 1):
        beside = builder.add(there, context.get_constant(types.uintp, 1))
        line = _between(builder, _load(builder, second, there), _load(builder, second, beside), u)
        if row:
            yield here, builder.fsub(_between(builder, above, line, v), _load(builder, first, here), _FAST)
            here = builder.add(here, pitch)
        above, there = line, builder.add(there, pitch)


def _sums(context: Any, builder: Any, planes: Any, rows: Any) -> Any:
    """Of all rows, what there is, its square, and its products with planes."""
    sums = [ir.Constant(_FLOATS, [0.0] * SIDE)] * 4
    for line, row in rows:
        others = row, *(_load(builder, plane, line) for plane in planes)
        terms = row, *(builder.fmul(row, other, _FAST) for other in others)
        sums = [builder.fadd(total, term, _FAST) for total, term in zip(sums, terms, strict=True)]
    return context.make_tuple(builder, _FOUR, [_total(builder, total) for total in sums])


def _data(context: Any, builder: Any, array: Any, kind: Any = _PLANE) -> Any:
    return context.make_array(kind)(context, builder, array).data


def _cast(builder: Any, place: Any, kind: Any) -> Any:
    return builder.bitcast(place, kind.as_pointer())


def _place(builder: Any, plane: Any, index: Any) -> Any:
    return builder.bitcast(builder.gep(plane, [index]), _FLOATS.as_pointer())


def _load(builder: Any, plane: Any, index: Any) -> Any:
    return builder.load(_place(builder, plane, index), align=4)


def _between(builder: Any, a: Any, b: Any, share: Any) -> Any:
    return builder.fadd(a, builder.fmul(builder.fsub(b, a, _FAST), share, _FAST), _FAST)


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _smaller(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


def _spread(builder: Any, value: Any, kind: Any = _FLOATS) -> Any:
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, _number(0))
    return _lanes(builder, first, [0] * kind.count)


def _total(builder: Any, vector: Any) -> Any:
    count = SIDE
    while count > 1:
        count //= 2
        low, high = (_lanes(builder, vector, list(range(begin, begin + count))) for begin in (0, count))
        vector = builder.fadd(low, high, _FAST)
    return builder.extract_element(vector, _number(0))


def _lanes(builder: Any, vector: Any, lanes: list[int]) -> Any:
    order = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), order)


def _whole(value: int) -> Any:
    return ir.Constant(ir.IntType(64), value)


def _number(value: int) -> Any:
    return ir.Constant(ir.IntType(32), value)
