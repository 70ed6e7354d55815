"""What loops do to eight pixels at a time, above all to compare a patch of a picture with one that lies between the
pixels of another.

Written out in LLVM's own instructions, for its compiler does not see that the rows of a patch can stay where they are:
loops take three times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from videostyle.flow import RUN

SIDE = 8
"""Pixels of a patch's rows, and its rows."""
_FLOATS = ir.VectorType(ir.FloatType(), SIDE)
_NOTHING = ir.Constant(_FLOATS, ir.Undefined)
_kinds: Any = types  # their stubs are half typed
_PLANE, _INDEX, _FLOAT = _kinds.Array(types.float32, 1, "C"), types.uintp, types.float32
_PIXELS = _kinds.Array(types.uint32, 1, "C")
_BYTES = _kinds.Array(types.uint8, 1, "C")
_FOUR = _kinds.UniTuple(_FLOAT, 4)
_FAST = ("fast",)


def _instruction(function: Callable[..., Any]) -> Callable[..., Any]:
    """As loops call it: what says how it is compiled is called with the types of what they call it with, and one more
    in front."""
    return cast(Callable[..., Any], intrinsic(function))


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
def lie_between(
    typing: Any, picture: Any, here: Any, width: Any, a: Any, b: Any, c: Any, d: Any, out: Any, to: Any
) -> Any:
    """Write RUN pixels, uint32 of four bytes each: of those at ``here`` in a picture with rows of ``width``, those to
    the right of them, below them, and both, so many 256ths each, which add up to 256."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bytes_, wide = (ir.VectorType(ir.IntType(bits), 4 * RUN) for bits in (8, 16))
        picture, out = (context.make_array(_PIXELS)(context, builder, args[k]).data for k in (0, 7))
        pixel, total = args[1], ir.Constant(wide, [128] * 4 * RUN)
        one = context.get_constant(types.uintp, 1)
        for weights in (args[3:5], args[5:7]):
            for beside, weight in enumerate(weights):
                place = builder.gep(picture, [builder.add(pixel, one) if beside else pixel])
                tap = builder.zext(builder.load(builder.bitcast(place, bytes_.as_pointer()), align=4), wide)
                share = builder.insert_element(
                    ir.Constant(wide, ir.Undefined), builder.trunc(weight, wide.element), _number(0)
                )
                total = builder.add(total, builder.mul(tap, _lanes(builder, share, [0] * 4 * RUN)))
            pixel = builder.add(pixel, args[2])
        found = builder.trunc(builder.lshr(total, ir.Constant(wide, [8] * 4 * RUN)), bytes_)
        place = builder.bitcast(builder.gep(out, [args[8]]), bytes_.as_pointer())
        builder.store(found, place, align=4)
        return context.get_dummy_value()

    share = types.uint32
    return types.none(_PIXELS, _INDEX, _INDEX, share, share, share, share, _PIXELS, _INDEX), generate


@_instruction
def widen(typing: Any, picture: Any, here: Any, out: Any, to: Any) -> Any:
    """Write RUN pixels, uint32, of three bytes each that begin at byte ``here`` of a picture; their fourth is 0."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        three, four = (ir.VectorType(ir.IntType(8), count * RUN) for count in (3, 4))
        picture = context.make_array(_BYTES)(context, builder, args[0]).data
        out = context.make_array(_PIXELS)(context, builder, args[2]).data
        found = builder.load(builder.bitcast(builder.gep(picture, [args[1]]), three.as_pointer()), align=1)
        order = [3 * (k // 4) + k % 4 if k % 4 < 3 else 3 * RUN for k in range(4 * RUN)]
        zero = ir.Constant(three, [0] * 3 * RUN)
        wide = builder.shuffle_vector(found, zero, ir.Constant(ir.VectorType(ir.IntType(32), 4 * RUN), order))
        builder.store(wide, builder.bitcast(builder.gep(out, [args[3]]), four.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.none(_BYTES, _INDEX, _PIXELS, _INDEX), generate


@_instruction
def fetch(typing: Any, picture: Any, index: Any) -> Any:
    """Have a pixel, uint32, brought nearer to the processor; it may lie outside."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pixels = context.make_array(_PIXELS)(context, builder, args[0]).data
        place = builder.bitcast(builder.gep(pixels, [args[1]]), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [place.type, *[ir.IntType(32)] * 3])
        insert: Any = cgutils.get_or_insert_function
        request = insert(builder.module, kind, "llvm.prefetch.p0")
        builder.call(request, [place, *map(_number, (0, 3, 1))])  # to read, and often, from data
        return context.get_dummy_value()

    return types.none(_PIXELS, _INDEX), generate


@_instruction
def ramp(typing: Any, out: Any, to: Any, value: Any, slope: Any) -> Any:
    """Write ``value``, and ``slope`` more from each pixel to the next, to SIDE pixels."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        steps = ir.Constant(_FLOATS, [float(k) for k in range(SIDE)])
        rise = builder.fmul(_spread(builder, args[3]), steps, _FAST)
        line = builder.fadd(_spread(builder, args[2]), rise, _FAST)
        builder.store(line, _place(builder, _data(context, builder, args[0]), args[1]), align=4)
        return context.get_dummy_value()

    return types.none(_PLANE, _INDEX, _FLOAT, _FLOAT), generate


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


def _data(context: Any, builder: Any, array: Any) -> Any:
    return context.make_array(_PLANE)(context, builder, array).data


def _place(builder: Any, plane: Any, index: Any) -> Any:
    return builder.bitcast(builder.gep(plane, [index]), _FLOATS.as_pointer())


def _load(builder: Any, plane: Any, index: Any) -> Any:
    return builder.load(_place(builder, plane, index), align=4)


def _between(builder: Any, a: Any, b: Any, share: Any) -> Any:
    return builder.fadd(a, builder.fmul(builder.fsub(b, a, _FAST), share, _FAST), _FAST)


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _spread(builder: Any, value: Any) -> Any:
    return _lanes(builder, builder.insert_element(_NOTHING, value, _number(0)), [0] * SIDE)


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


def _number(value: int) -> Any:
    return ir.Constant(ir.IntType(32), value)
