"""The usual transformer net, the way it is usually run: what our engines are compared with.

Johnson et al. 2016 with the instance norm of Ulyanov et al. 2016, in the sizes of PyTorch's fast_neural_style example:
32 channels at full size, 128 and five residual blocks at a quarter. Eager PyTorch in fp32, weights random: they change
no time. A step takes uint8 RGB (H, W, 3) and gives such a picture back, as our engines do.

It serves a ``videostyle.benchmark.worker.Worker``, with a job such as {"size": [1280, 720], "device": "cpu"}.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from videostyle.benchmark.serve import Step, serve


def convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1, upsample: int = 1) -> list[nn.Module]:
    before: list[nn.Module] = [nn.Upsample(scale_factor=upsample, mode="nearest")] if upsample > 1 else []
    return [*before, nn.ReflectionPad2d(kernel // 2), nn.Conv2d(inputs, outputs, kernel, stride)]


def normed(inputs: int, outputs: int, kernel: int, *, stride: int = 1, upsample: int = 1) -> list[nn.Module]:
    layers = convolution(inputs, outputs, kernel, stride=stride, upsample=upsample)
    return [*layers, nn.InstanceNorm2d(outputs, affine=True)]


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(*normed(channels, channels, 3), nn.ReLU(), *normed(channels, channels, 3))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(x) + x
        return out


def usual_net(channels: int = 32, blocks: int = 5) -> nn.Module:
    """float (N, 3, H, W) in 0..255 to about that; H and W in multiples of 4."""
    half, quarter = 2 * channels, 4 * channels
    return nn.Sequential(
        *(*normed(3, channels, 9), nn.ReLU()),
        *(*normed(channels, half, 3, stride=2), nn.ReLU()),
        *(*normed(half, quarter, 3, stride=2), nn.ReLU()),
        *(Residual(quarter) for _ in range(blocks)),
        *(*normed(quarter, half, 3, upsample=2), nn.ReLU()),
        *(*normed(half, channels, 3, upsample=2), nn.ReLU()),
        *convolution(channels, 3, 9),
    )


def ready(size: tuple[int, int], device: str) -> tuple[Step, Callable[[], dict[str, object]]]:
    net = usual_net().eval().to(device)
    width, height = size
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)

    def step() -> None:
        with torch.inference_mode():
            painted = net(torch.from_numpy(frame).to(device).permute(2, 0, 1)[None].float())[0]
            painted.clamp(0, 255).byte().permute(1, 2, 0).contiguous().cpu().numpy()

    return step, lambda: {"engine": "pytorch", "precision": "fp32", "device": device}


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    serve(lambda: ready(job["size"], job["device"]))
