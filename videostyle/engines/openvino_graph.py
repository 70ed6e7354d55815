"""A bank's network as an OpenVINO model."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import openvino.opset15 as op
from numpy.typing import NDArray

from videostyle.engines import graph
from videostyle.styles import Range, StyleBank

Node = Any
"""``openvino.Output``; its methods and operators carry no types."""


class OpenVINOOps:
    """The operations of ``videostyle.engines.graph`` as OpenVINO's.

    portable: with 8-bit weights for any processor; else for this one.
    """

    def __init__(self, *, portable: bool = False) -> None:
        self._whole = not portable and adds_bytes_exactly()

    def enter(self, images: Node, *, margin: int, least: int, multiple: int, reflect: bool, square: int) -> Node:
        height, width = _sides(images)
        grown = [op.maximum(op.subtract(_i64(least), side), _i64(0)) for side in (height, width)]
        x = _pad(images, margin, [op.add(side, _i64(margin)) for side in grown], "edge")
        more = [op.floor_mod(op.negative(side), _i64(multiple)) for side in _sides(x)]
        x = _pad(x, 0, more, "reflect" if reflect else "edge")
        if square > 1:  # while they are bytes, and a square's rows lie together
            height, width = (op.divide(side, _i64(square)) for side in _sides(x))
            x = op.transpose(_reshape(x, height, square, width, 3 * square), _i64(0, 1, 3, 2, 4))
            x = _reshape(x, height, width, 3 * square**2)
        x = op.multiply(op.convert(x, "f32"), np.float32(1 / 255))
        return op.transpose(x, _i64(0, 3, 1, 2))

    def leave(self, x: Node, images: Node, *, margin: int, square: int) -> Node:
        x = op.clamp(op.multiply(x, np.float32(255)), 0.0, 255.0)
        x = op.transpose(op.convert(op.round(x, "half_to_even"), "u8"), _i64(0, 2, 3, 1))
        if square > 1:
            height, width = _sides(x)
            x = op.transpose(_reshape(x, height, width, square, 3 * square), _i64(0, 1, 3, 2, 4))
            x = _reshape(x, *(op.multiply(side, _i64(square)) for side in (height, width)), 3)
        ends = [op.add(side, _i64(margin)) for side in _sides(images)]
        return op.slice(x, _i64(margin, margin), op.concat(ends, 0), _i64(1, 1), _i64(1, 2))

    def split(self, styles: Node, sizes: Sequence[int]) -> list[Node]:
        parts = op.variadic_split(styles, _i64(1)[0], _i64(*sizes)).outputs()
        return [op.unsqueeze(part, _i64(2, 3)) for part in parts]

    def convolution(
        self,
        x: Node,
        name: str,
        weight: graph.Weights,
        bias: graph.Weights,
        *,
        stride: int,
        repeat: bool,
        bounds: Range | None,
    ) -> Node:
        kernel: Node = op.constant(weight)
        # What comes from ``enter`` is padded channels last: convolutions want it so, and copies there and back go.
        last = x.get_type_name() == "Transpose"
        x = x.input_value(0) if last else x
        if bounds is not None:
            low, high = (np.float32(bound) for bound in bounds)
            x = _fake_quantize(x, low, high, levels=256)
            most = np.maximum(np.abs(weight).max((1, 2, 3), keepdims=True), np.float32(1e-12))
            most = most if self._whole else 2 * most
            kernel = _fake_quantize(kernel, -most, most, levels=255)
        pad = weight.shape[2] // 2
        around = _i64(0, pad, pad, 0) if last else _i64(0, 0, pad, pad)
        x = op.pad(x, around, around, "edge" if repeat else "reflect")
        x = op.transpose(x, _i64(0, 3, 1, 2)) if last else x
        x = op.convolution(x, kernel, [stride, stride], [0, 0], [0, 0], [1, 1], name=name)
        return op.add(x, bias.reshape(1, -1, 1, 1))

    def instance_norm(self, x: Node, eps: float) -> Node:
        return op.mvn(x, _i64(2, 3), True, eps, "inside_sqrt")

    def multiply(self, x: Node, y: Node) -> Node:
        return op.multiply(x, y)

    def add(self, x: Node, y: Node) -> Node:
        return op.add(x, y)

    def relu(self, x: Node) -> Node:
        return op.relu(x)

    def unfold(self, x: Node, square: int) -> Node:
        return op.depth_to_space(x, "blocks_first", square)


def build(bank: StyleBank, *, quantize: bool = False) -> ov.Model:
    """A bank's network as a model of one picture of any size: inputs ``images`` and ``styles``, see ``graph.paint``."""
    images = op.parameter([1, -1, -1, 3], ov.Type.u8, name="images")
    styles = op.parameter([1, bank.styles.shape[1]], ov.Type.f32, name="styles")
    painted = graph.paint(OpenVINOOps(), bank, images, styles, quantize=quantize)
    painted.output(0).set_names({"painted"})
    model = ov.Model([painted], [images, styles], "videostyle")
    return model


def _i64(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def _sides(images: Node) -> tuple[Node, Node]:
    """Height and width of (N, H, W, C), each int64 (1,)."""
    shape = op.shape_of(images)
    height, width = (op.gather(shape, _i64(axis), _i64(0)[0]) for axis in (1, 2))
    return height, width


def _reshape(x: Node, *sides: Node | int) -> Node:
    """(N, ...) -> (N, *sides)."""
    parts = [side if isinstance(side, ov.Node | ov.Output) else _i64(side) for side in sides]
    return op.reshape(x, op.concat([_i64(0), *parts], 0), True)


def _pad(images: Node, before: int, after: Sequence[Node], mode: str) -> Node:
    """(N, H, W, C) with pixels around it, ``after`` those to the right and below."""
    return op.pad(images, _i64(0, before, before, 0), op.concat([_i64(0), *after, _i64(0)], 0), mode)


@cache
def adds_bytes_exactly() -> bool:
    """Whether this processor adds products of 8-bit numbers in 32 bits, as far as can be told.

    Without VNNI, x86 adds pairs of them in 16 bits, where two products of the largest do not fit: paintings were off
    by up to 31 codes. Weights of half the range always fit, and lose a bit (as by NNCF's overflow fix).
    """
    if platform.machine().lower() in ("arm64", "aarch64"):
        return True
    try:
        return "vnni" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


def _fake_quantize(x: Node, low: Any, high: Any, levels: int) -> Node:
    return op.fake_quantize(x, low, high, low, high, levels)
