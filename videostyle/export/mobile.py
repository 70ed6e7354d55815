"""The networks for phones: of one fixed size, in floats, made of what XNNPACK runs.

XNNPACK runs convolutions on processors for ExecuTorch and LiteRT, but neither pads by reflection nor norms or folds;
what it lacks falls to slow reference kernels, with copies on the way there and back. So padding is slices put together,
a norm is means, a fold is a transposition, and the whole network is one piece for it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videostyle.export.torch_graph import TorchGraph, TorchOps
from videostyle.styles import StyleBank

MOST_JOINED = 5
"""XNNPACK concatenates so many tensors at once."""


def mobile_graph(bank: StyleBank, vector: NDArray[np.float32] | None, size: tuple[int, int]) -> TorchGraph:
    """``TorchGraph`` from images float32 (1, 3, H, W) in [0, 1] of ``size`` (W, H) to paintings of the same shape."""
    width, height = size
    return TorchGraph(_MobileOps(), bank, vector, torch.rand(1, 3, height, width))


class _MobileOps(TorchOps):
    def enter(self, images: Tensor, *, margin: int, least: int, multiple: int, reflect: bool, square: int) -> Tensor:
        x = images
        for axis in (2, 3):
            size = x.shape[axis]
            x = _extended(x, axis, [0] * margin, [size - 1] * (margin + max(least - size, 0)))
            size = x.shape[axis]
            more = range(-size % multiple)
            x = _extended(x, axis, [], [size - 2 - i if reflect else size - 1 for i in more])
        return self.fold(x, square) if square > 1 else x

    def leave(self, x: Tensor, images: Tensor, *, margin: int, square: int) -> Tensor:
        x = self.unfold(x, square) if square > 1 else x
        height, width = images.shape[-2:]
        return x[..., margin : margin + height, margin : margin + width].clamp(0, 1)

    def padded(self, x: Tensor, pixels: int, *, repeat: bool) -> Tensor:
        steps = range(1, pixels + 1)
        for axis in (2, 3):
            last = x.shape[axis] - 1
            before = [0 if repeat else i for i in reversed(steps)]
            x = _extended(x, axis, before, [last if repeat else last - i for i in steps])
        return x

    def instance_norm(self, x: Tensor, eps: float) -> Tensor:
        x = x - x.mean((2, 3), keepdim=True)
        return x * torch.rsqrt((x * x).mean((2, 3), keepdim=True) + eps)


def _extended(x: Tensor, axis: int, before: Iterable[int], after: Iterable[int]) -> Tensor:
    """x with copies of its slices at these positions of ``axis`` put before and after it."""
    pieces = [*(x.narrow(axis, i, 1) for i in before), x, *(x.narrow(axis, i, 1) for i in after)]
    while len(pieces) > 1:
        groups = [pieces[i : i + MOST_JOINED] for i in range(0, len(pieces), MOST_JOINED)]
        pieces = [torch.cat(group, axis) if len(group) > 1 else group[0] for group in groups]
    return pieces[0]
