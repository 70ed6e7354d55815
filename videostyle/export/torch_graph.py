"""The networks of ``videostyle.engines.graph`` in PyTorch operations that can be traced and exported.

``videostyle.net`` and ``videostyle.transformer_net`` are for learning: their padding depends on Python's numbers, which
a trace would freeze, and phones cannot run all of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from videostyle.engines import graph
from videostyle.styles import Range, StyleBank


class TorchOps(nn.Module):
    """What all ``graph.Ops`` on tensors share.

    dtype: of the weights and of all that is computed. The layers come into being when the graph is gone through for
    the first time, and are modules of this one from then on.
    """

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.dtype = dtype
        self.layers = nn.ModuleDict()

    def enter(self, images: Tensor, *, margin: int, least: int, multiple: int, reflect: bool, square: int) -> Tensor:
        raise NotImplementedError

    def leave(self, x: Tensor, images: Tensor, *, margin: int, square: int) -> Tensor:
        raise NotImplementedError

    def padded(self, x: Tensor, pixels: int, *, repeat: bool) -> Tensor:
        """x (N, C, H, W) with its edges repeated or reflected all around."""
        return F.pad(x, (pixels,) * 4, mode="replicate" if repeat else "reflect")

    def split(self, styles: Tensor, sizes: Sequence[int]) -> list[Tensor]:
        ends = np.cumsum(sizes).tolist()
        styles = styles.to(self.dtype)
        return [styles[:, end - size : end].reshape(-1, size, 1, 1) for size, end in zip(sizes, ends, strict=True)]

    def convolution(
        self,
        x: Tensor,
        name: str,
        weight: graph.Weights,
        bias: graph.Weights,
        *,
        stride: int,
        repeat: bool,
        bounds: Range | None,
    ) -> Tensor:
        key = name.replace(".", "_")  # a dot would mean a module in a module
        if key not in self.layers:
            outputs, inputs, kernel, _ = weight.shape
            layer = nn.Conv2d(inputs, outputs, kernel, stride, dtype=self.dtype).requires_grad_(False)
            layer.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
            self.layers[key] = layer
        out: Tensor = self.layers[key](self.padded(x, weight.shape[2] // 2, repeat=repeat))
        return out

    def instance_norm(self, x: Tensor, eps: float) -> Tensor:
        # A group a channel is instance norm; unlike F.instance_norm it keeps channels last: half the time on a CPU.
        # Of torch itself: the function of torch.nn looks at sizes in Python, which a trace warns of.
        return torch.group_norm(x, x.shape[1], eps=eps)

    def multiply(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y

    def relu(self, x: Tensor) -> Tensor:
        return F.relu(x)

    def fold(self, x: Tensor, square: int) -> Tensor:
        """The inverse of ``unfold``."""
        x = x.unflatten(3, (-1, square)).unflatten(2, (-1, square))
        return x.permute(0, 3, 5, 1, 2, 4).flatten(1, 3)

    def unfold(self, x: Tensor, square: int) -> Tensor:
        x = x.unflatten(1, (square, square, -1))
        return x.permute(0, 3, 4, 1, 5, 2).flatten(4, 5).flatten(2, 3)


class TorchGraph(nn.Module):
    """A bank's network on ``ops``: from images, and style vectors (N or 1, P) where none is baked in, to paintings.

    vector: float32 (P,) to bake in, or None. images: to trace with; ``example`` holds all inputs for that.
    """

    vector: Tensor

    def __init__(self, ops: TorchOps, bank: StyleBank, vector: NDArray[np.float32] | None, images: Tensor) -> None:
        super().__init__()
        self.ops, self._bank = ops, bank
        self.register_buffer("vector", None if vector is None else torch.from_numpy(vector)[None])
        styles = (torch.from_numpy(bank.styles[-1:].copy()),) if vector is None else ()
        self.example: tuple[Tensor, ...] = (images, *styles)
        self.eval()
        with torch.no_grad():
            self(*self.example)

    def forward(self, images: Tensor, styles: Tensor | None = None) -> Tensor:
        return graph.paint(self.ops, self._bank, images, self.vector if styles is None else styles)
