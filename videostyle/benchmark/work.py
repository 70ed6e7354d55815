"""What a frame costs: the multiplications and additions of a network's convolutions, from its configuration alone."""

from __future__ import annotations

from collections.abc import Callable

from videostyle.engines.graph import NETS
from videostyle.styles import NetConfig

SHRINK = 4
GROWN: dict[str, Callable[[int], int]] = {
    "stylenet": lambda side: -(-side // SHRINK) + 2,
    "transformernet": lambda side: -(-max(side, 8) // SHRINK),
}
"""By network: positions along a side of so many pixels, at a quarter of the size at which most layers work."""
FINER = {
    "stylenet": {"up": 4, "out": 4},
    "transformernet": {"conv1": 16, "conv2": 4, "deconv1": 4, "deconv2": 16, "deconv3": 16},
}
"""By network and layer: positions for each of those."""


def flops(config: NetConfig, size: tuple[int, int]) -> int:
    """Multiplications and additions of one picture of ``size`` (width, height), as PyTorch's FlopCounterMode has them.

    What engines add to be faster, such as weights of zeros, does not count: it is work that the picture needs.
    """
    width, height = (GROWN[config.kind](side) for side in size)
    finer = FINER[config.kind]
    layers = NETS[config.kind].layers(config)
    products = sum(finer.get(name, 1) * inputs * outputs * kernel**2 for name, inputs, outputs, kernel in layers)
    return 2 * width * height * products
