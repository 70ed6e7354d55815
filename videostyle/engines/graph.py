"""The networks as graphs of a few operations: what engines that run without torch are built from.

``videostyle.net`` and ``videostyle.transformer_net`` say the same for learning. Here bytes come in and go out, and an
engine's ``Ops`` turn each operation into its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from videostyle.errors import EngineError, StyleError
from videostyle.styles import NetConfig, StyleBank
from videostyle.styles import Range as Range

Weights = NDArray[np.float32]
T = TypeVar("T")
"""A value of an engine's graph."""


class Ops(Protocol[T]):
    """The operations of both networks, on values of one engine's graph. Pictures are (N, C, H, W) but at the ends.

    Where squares of pixels are folded into channels, these run over rows, columns and colours (or what is in their
    place), in this order: that is how bytes lie in memory, so folding moves whole rows of a square at once.
    """

    def enter(self, images: T, *, margin: int, least: int, multiple: int, reflect: bool, square: int) -> T:
        """uint8 (N, H, W, 3) -> (N, 3 square^2, H' / square, W' / square) in [0, 1], grown and folded.

        By ``margin`` pixels at each edge and to at least ``least`` by repeating the edges; then, to the right and
        below, to multiples of ``multiple``, by reflection or by repeating the edges.
        """
        ...

    def leave(self, x: T, images: T, *, margin: int, square: int) -> T:
        """(N, 3 square^2, h, w) -> uint8 (N, H, W, 3) of the size of ``images``: the inverse of ``enter``, clamped."""
        ...

    def split(self, styles: T, sizes: Sequence[int]) -> list[T]:
        """(N or 1, sum of sizes) -> values of (N or 1, size, 1, 1)."""
        ...

    def convolution(
        self, x: T, name: str, weight: Weights, bias: Weights, *, stride: int, repeat: bool, bounds: Range | None
    ) -> T:
        """Convolution by weight (O, C, k, k), k odd, of x (N, C, H, W) padded to keep its size.

        name: of the layer. repeat: pad by repeating the edges, not by reflection. bounds: of x, where it and the
        weights are to be rounded to 8 bits.
        """
        ...

    def instance_norm(self, x: T, eps: float) -> T: ...
    def multiply(self, x: T, y: T) -> T: ...
    def add(self, x: T, y: T) -> T: ...
    def relu(self, x: T) -> T: ...

    def unfold(self, x: T, square: int) -> T:
        """(N, square^2 C, h, w) -> (N, C, square h, square w)."""
        ...


def paint(ops: Ops[T], bank: StyleBank, images: T, styles: T, *, quantize: bool = False) -> T:
    """The graph of a bank's network: images uint8 (N, H, W, 3), styles float32 (N or 1, P) -> uint8 (N, H, W, 3).

    quantize: round to 8 bits what enters the convolutions that the bank has ``ranges`` for, and their weights.
    """
    net = NETS[bank.config.kind](ops, bank, styles, quantize=quantize)
    return net.paint(images)


def check(bank: StyleBank, precision: str) -> None:
    """Raises EngineError where a bank's tensors are not those of its network, or no numbers in ``precision``.

    StyleError for a network that this version does not know.
    """
    label = bank.path or f"the bank of {', '.join(bank.names)}"
    if bank.config.kind not in NETS:
        raise StyleError(
            f"this version of videostyle knows no network {bank.config.kind!r}: update it, or train the bank again"
        )
    net = NETS[bank.config.kind]
    wanted = dict(net.parameters(bank.config))
    for name in [*wanted, *bank.body]:
        found = bank.body[name].shape if name in bank.body else "missing"
        if found != wanted.get(name):
            raise EngineError(f"{label} does not hold the weights of its own network: {name} is {found}")
    size = sum(net.style_sizes(bank.config))
    if size != bank.styles.shape[1]:
        raise EngineError(f"{label} has style vectors of {bank.styles.shape[1]} numbers, not {size}")
    limit = np.finfo(np.float16).max if precision == "fp16" else np.inf
    for name, tensor in bank.body.items():
        if not (np.abs(tensor) < limit).all():
            raise EngineError(
                f"{label}: {name} holds no numbers in {precision}: fetch it again, or use --precision fp32"
            )
    if not np.isfinite(bank.styles).all():
        raise EngineError(f"{label} holds style vectors that are no numbers: fetch or train it again")


def upsampling(weight: Weights) -> Weights:
    """A 3x3 convolution (O, C, 3, 3) behind nearest upsampling by 2, as one whose squares are folded: (4 O, C, 3, 3).

    Each pixel of a 2x2 square sees only 2x2 different pixels, so its taps add up. At a quarter of the positions and
    four times the width, processors convolve faster. Padding by reflection turns into repeating the edges.
    """
    # Where the three taps of the first and of the second pixel of a pair lie among the pixels before upsampling.
    taps = np.array([[[1, 0, 0], [0, 1, 1], [0, 0, 0]], [[0, 0, 0], [1, 1, 0], [0, 0, 1]]], np.float32)
    out: Weights = np.einsum("yab,xcd,oibd->yxoiac", taps, taps, weight)
    return out.reshape(-1, *weight.shape[1:])


class _Net(Generic[T]):
    """What both networks do with a bank's weights and vectors."""

    suffix: str

    def __init__(self, ops: Ops[T], bank: StyleBank, styles: T, *, quantize: bool) -> None:
        self.ops, self.config, self._body = ops, bank.config, dict(bank.body)
        first, *_ = next(self.layers(bank.config))
        self._ranges = {**bank.ranges, first: (0.0, 1.0)} if quantize else {}
        self._vectors = iter(ops.split(styles, self.style_sizes(bank.config)))

    @classmethod
    def layers(cls, config: NetConfig) -> Iterator[tuple[str, int, int, int]]:
        """Name, inputs, outputs and kernel of each convolution."""
        raise NotImplementedError

    @classmethod
    def style_sizes(cls, config: NetConfig) -> list[int]:
        """Widths of the scales, shifts and so on, in the order in which a style vector holds them."""
        raise NotImplementedError

    def paint(self, images: T) -> T:
        raise NotImplementedError

    @classmethod
    def parameters(cls, config: NetConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
        for name, inputs, outputs, kernel in cls.layers(config):
            yield f"{name}.{cls.suffix}.weight", (outputs, inputs, kernel, kernel)
            yield f"{name}.{cls.suffix}.bias", (outputs,)

    def conv(
        self, name: str, x: T, *, stride: int = 1, upsample: bool = False, unit_in: float = 1, unit_out: float = 1
    ) -> T:
        """A convolution of what is ``unit_in`` times x, in units of ``unit_out``; behind nearest upsampling by 2."""
        key = f"{name}.{self.suffix}"
        weight = self._body[f"{key}.weight"] * np.float32(unit_in / unit_out)
        bias = self._body[f"{key}.bias"] / np.float32(unit_out)
        bounds = self._ranges.get(name)
        if upsample:
            weight, bias = upsampling(weight), np.tile(bias, 4)
        y = self.ops.convolution(x, name, weight, bias, stride=stride, repeat=upsample, bounds=bounds)
        return self.ops.unfold(y, 2) if upsample else y

    def style(self, x: T) -> T:
        """x * scale + shift, with the next two parts of the style vector."""
        scale, shift = next(self._vectors), next(self._vectors)
        return self.ops.add(self.ops.multiply(x, scale), shift)


class _StyleNet(_Net[T]):
    """See ``videostyle.net.StyleNet``."""

    suffix = "conv"
    shrink = 4
    eps = 1e-3

    @classmethod
    def layers(cls, config: NetConfig) -> Iterator[tuple[str, int, int, int]]:
        c, h = config.channels, config.head
        yield "stem", 3 * cls.shrink**2, c, 3
        for i in range(config.blocks):
            yield f"blocks.{i}.conv1", c, config.hidden, 3
            yield f"blocks.{i}.conv2", config.hidden, c, 3
        yield "up", c, h, 3
        yield "out", h, 12, 3

    @classmethod
    def style_sizes(cls, config: NetConfig) -> list[int]:
        block = [config.hidden] * 2 + [config.channels] * 2
        return [config.channels] * 3 + block * config.blocks + [config.head] * 2

    def __init__(self, ops: Ops[T], bank: StyleBank, styles: T, *, quantize: bool) -> None:
        super().__init__(ops, bank, styles, quantize=quantize)
        inputs, outputs = _rows_first(self.shrink), _rows_first(2)
        self._body = {
            **bank.body,
            "stem.conv.weight": bank.body["stem.conv.weight"][:, inputs],
            **{name: bank.body[name][outputs] for name in ("out.conv.weight", "out.conv.bias")},
        }

    def paint(self, images: T) -> T:
        ops, side = self.ops, self.shrink
        x = ops.enter(images, margin=side, least=1, multiple=side, reflect=False, square=side)
        x = self.conv("stem", x)
        y = self.style(ops.instance_norm(x, self.eps))
        x = ops.relu(ops.add(y, ops.multiply(x, next(self._vectors))))
        for i in range(self.config.blocks):
            y = self.style(ops.instance_norm(self.conv(f"blocks.{i}.conv1", x), self.eps))
            x = ops.add(x, self.style(self.conv(f"blocks.{i}.conv2", ops.relu(y))))
        x = ops.relu(self.style(self.conv("up", x, upsample=True)))
        return ops.leave(self.conv("out", x), images, margin=side, square=2)


class _TransformerNet(_Net[T]):
    """See ``videostyle.transformer_net.TransformerNet``."""

    suffix = "conv2d"
    eps = 1e-5

    @classmethod
    def layers(cls, config: NetConfig) -> Iterator[tuple[str, int, int, int]]:
        quarter, half, full = config.channels, config.head, config.head // 2
        yield "conv1", 3, full, 9
        yield "conv2", full, half, 3
        yield "conv3", half, quarter, 3
        for i in range(1, config.blocks + 1):
            yield f"res{i}.conv1", quarter, quarter, 3
            yield f"res{i}.conv2", quarter, quarter, 3
        yield "deconv1", quarter, half, 3
        yield "deconv2", half, full, 3
        yield "deconv3", full, 3, 9

    @classmethod
    def style_sizes(cls, config: NetConfig) -> list[int]:
        outputs = [outputs for _, _, outputs, _ in cls.layers(config)]
        return [width for width in outputs[:-1] for _ in ("scale", "shift")]

    def paint(self, images: T) -> T:
        ops = self.ops
        x = ops.enter(images, margin=0, least=8, multiple=4, reflect=True, square=1)
        x = ops.relu(self._norm(self.conv("conv1", x, unit_in=255)))
        for name in ("conv2", "conv3"):
            x = ops.relu(self._norm(self.conv(name, x, stride=2)))
        for i in range(1, self.config.blocks + 1):
            y = ops.relu(self._norm(self.conv(f"res{i}.conv1", x)))
            x = ops.add(x, self._norm(self.conv(f"res{i}.conv2", y)))
        for name in ("deconv1", "deconv2"):
            x = ops.relu(self._norm(self.conv(name, x, upsample=True)))
        return ops.leave(self.conv("deconv3", x, unit_out=255), images, margin=0, square=1)

    def _norm(self, x: T) -> T:
        return self.style(self.ops.instance_norm(x, self.eps))


def _rows_first(square: int) -> NDArray[np.intp]:
    """Where PyTorch's pixel shuffle, which puts colours first, has the channels of a folded square."""
    return np.arange(3 * square**2).reshape(3, -1).T.ravel()


NETS = {"stylenet": _StyleNet, "transformernet": _TransformerNet}
