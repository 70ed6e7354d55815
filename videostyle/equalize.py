"""Evening out a net's channels, so that eight bits do for all of them.

int8 has one scale for all channels that enter a convolution, and one for all weights of each that leaves it: a channel
that is seldom large, or that has the largest weights, takes the others' resolution away. What a ReLU or a residual sum
passes may be scaled channel by channel, where the next weights take the scale back: the net stays the same function
(Nagel et al. 2019); how much of the range is left to activations and how much to weights is as of Xiao et al. 2023.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videostyle.frame import Image
from videostyle.net import StyleNet, build
from videostyle.quality import to_tensor
from videostyle.styles import StyleBank

_LARGEST = 0.9995
"""Quantile of a channel's values in one picture that counts as its range: outliers are saturated anyway."""
_MOST = 16.0
"""Largest factor: a channel that no sample stirred may yet be wanted."""


@torch.inference_mode()
def equalized(bank: StyleBank, samples: Iterable[tuple[Image, NDArray[np.float32]]]) -> StyleBank:
    """``bank`` with even channels and no ranges; it paints the same but for rounding in float32.

    samples: pictures, uint8 (H, W, 3), and the style vectors (P,) or (1, P) that they are painted in. A bank of another
    net than ``StyleNet`` is given back as it is.
    """
    net = build(bank.config).eval()
    if not isinstance(net, StyleNet):
        return bank
    net.load_state_dict({name: torch.from_numpy(value) for name, value in bank.body.items()})
    found: dict[str, Tensor] = {}

    def watched(name: str) -> Any:
        def watch(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            values = inputs[0].abs().flatten(2)[0]
            largest = torch.quantile(values[:, :: 1 + values.shape[1] // 8192], _LARGEST, dim=1)
            found[name] = torch.maximum(found[name], largest) if name in found else largest

        return watch

    inner = [f"blocks.{number}.conv" for number in range(len(net.blocks))]
    for name in ("out", "up", *(f"{block}{which}" for block in inner for which in (1, 2))):
        net.get_submodule(f"{name}.conv").register_forward_hook(watched(name))
    for image, vector in samples:
        net(to_tensor(image), torch.from_numpy(vector).reshape(1, -1))
    body, styles = {name: value.copy() for name, value in bank.body.items()}, bank.styles.copy()
    starts = np.cumsum([0, *net.style_sizes[:-1]])

    def scale(readers: list[str], norms: list[int], most: float = np.inf) -> None:
        """Scale what the convolutions ``readers`` read and the norms of these numbers write.

        most: what a channel may add to their output at most and be of use.
        """
        weights = [body[f"{name}.conv.weight"] for name in readers]
        largest = np.max([np.abs(weight).max((0, 2, 3)) for weight in weights], 0).clip(1e-6)
        ranges = torch.stack([found[name] for name in readers]).amax(0).clamp_min(1e-3).numpy()
        by = np.sqrt(largest / np.minimum(ranges, most / largest))
        by = (by / np.exp(np.log(by).mean())).clip(1 / _MOST, _MOST).astype(np.float32)
        for weight in weights:
            weight /= by[:, None, None]
        for norm in norms:
            part = styles[:, starts[norm] : starts[norm] + net.style_sizes[norm]]
            part *= np.tile(by, net.norms[norm].parts)

    last = len(net.norms) - 1
    scale(["out"], [last], most=1.0)  # a picture is in [0, 1]
    # The trunk: what the stem and the blocks add up, and all that reads it.
    scale(["up", *(f"{block}1" for block in inner)], [0, *range(2, last, 2)])
    for number, block in enumerate(inner):
        scale([f"{block}2"], [1 + 2 * number])
    return replace(bank, body=body, styles=styles, ranges={})


__all__ = ["equalized"]
