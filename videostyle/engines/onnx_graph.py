"""A bank's network as an ONNX model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from videostyle.engines import graph
from videostyle.styles import Range, StyleBank

OPSET = 18
"""The oldest in which Pad takes the axes and modes used here: what runs most widely."""
IR_VERSION = 9


class ONNXOps:
    """The operations of ``videostyle.engines.graph`` as nodes of ONNX; values are their names.

    kind: float32 or float16, what is computed in.
    """

    def __init__(self, kind: type[np.floating[Any]]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._kind = kind
        self._channels: dict[str, int] = {}

    def enter(self, images: str, *, margin: int, least: int, multiple: int, reflect: bool, square: int) -> str:
        sides = self._sides(images)
        grown = self._node("Max", self._node("Sub", self._i64(least, least), sides), self._i64(0, 0))
        x = self._pad(images, margin, self._node("Add", grown, self._i64(margin, margin)), "edge")
        more = self._node("Mod", self._node("Neg", self._sides(x)), self._i64(multiple, multiple))
        x = self._pad(x, 0, more, "reflect" if reflect else "edge")
        x = self._node("Transpose", x, perm=[0, 3, 1, 2])
        x = self._node("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(self._kind)))
        x = self._node("Mul", x, self._number(1 / 255))
        return self._node("SpaceToDepth", x, blocksize=square) if square > 1 else x

    def leave(self, x: str, images: str, *, margin: int, square: int) -> str:
        x = self.unfold(x, square) if square > 1 else x
        ends = self._node("Add", self._sides(images), self._i64(margin, margin))
        x = self._node("Slice", x, self._i64(margin, margin), ends, self._i64(2, 3))
        # Half precision cannot hold x.5 near 255, so rounding is done in float32.
        x = self._node("Mul", self._node("Cast", x, to=TensorProto.FLOAT), self._constant(np.float32(255)))
        x = self._node("Clip", x, self._constant(np.float32(0)), self._constant(np.float32(255)))
        x = self._node("Cast", self._node("Round", x), to=TensorProto.UINT8)
        return self._node("Transpose", x, perm=[0, 2, 3, 1])

    def split(self, styles: str, sizes: Sequence[int]) -> list[str]:
        styles = self._node("Cast", styles, to=helper.np_dtype_to_tensor_dtype(np.dtype(self._kind)))
        parts = [f"style_{number}" for number in range(len(sizes))]
        self.nodes.append(helper.make_node("Split", [styles, self._i64(*sizes)], parts, axis=1))
        return [self._node("Unsqueeze", part, self._i64(2, 3)) for part in parts]

    def convolution(
        self,
        x: str,
        name: str,
        weight: graph.Weights,
        bias: graph.Weights,
        *,
        stride: int,
        repeat: bool,
        bounds: Range | None,
    ) -> str:
        pad = weight.shape[2] // 2
        pads = self._i64(0, 0, pad, pad, 0, 0, pad, pad)
        x = self._node("Pad", x, pads, mode="edge" if repeat else "reflect")
        parts = [self._constant(part.astype(self._kind)) for part in (weight, bias)]
        x = self._node("Conv", x, *parts, strides=[stride, stride])
        self._channels[x] = len(bias)
        return x

    def instance_norm(self, x: str, eps: float) -> str:
        one, zero = (self._constant(np.full(self._channels[x], value, self._kind)) for value in (1, 0))
        return self._node("InstanceNormalization", x, one, zero, epsilon=eps)

    def multiply(self, x: str, y: str) -> str:
        return self._node("Mul", x, y)

    def add(self, x: str, y: str) -> str:
        return self._node("Add", x, y)

    def relu(self, x: str) -> str:
        return self._node("Relu", x)

    def unfold(self, x: str, square: int) -> str:
        y = self._node("DepthToSpace", x, blocksize=square, mode="DCR")
        self._channels[y] = self._channels[x] // square**2
        return y

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def _constant(self, value: NDArray[Any] | np.generic) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _number(self, value: float) -> str:
        return self._constant(self._kind(value))

    def _i64(self, *values: int) -> str:
        return self._constant(np.array(values, np.int64))

    def _sides(self, images: str) -> str:
        """Height and width of (N, H, W, C), int64 (2,)."""
        return self._node("Shape", images, start=1, end=3)

    def _pad(self, images: str, before: int, after: str, mode: str) -> str:
        """(N, H, W, C) with pixels around it, ``after`` those to the right and below."""
        pads = self._node("Concat", self._i64(before, before), after, axis=0)
        return self._node("Pad", images, pads, "", self._i64(1, 2), mode=mode)


def build(bank: StyleBank, *, half: bool = False) -> bytes:
    """A bank's network as an ONNX model: ``images`` uint8 (N, H, W, 3) and ``styles`` float32 (N or 1, P) in, uint8
    ``painted`` (N, H, W, 3) out. half: compute in float16.
    """
    ops = ONNXOps(np.float16 if half else np.float32)
    painted = graph.paint(ops, bank, "images", "styles")
    ops.nodes.append(helper.make_node("Identity", [painted], ["painted"]))
    sides: list[str | int | None] = ["batch", "height", "width", 3]
    inputs = [
        helper.make_tensor_value_info("images", TensorProto.UINT8, sides),
        helper.make_tensor_value_info("styles", TensorProto.FLOAT, ["vectors", bank.styles.shape[1]]),
    ]
    outputs = [helper.make_tensor_value_info("painted", TensorProto.UINT8, sides)]
    whole = helper.make_graph(ops.nodes, "videostyle", inputs, outputs, ops.constants)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return bytes(model.SerializeToString())
