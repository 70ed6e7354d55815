"""A VGG-16 in torchvision's layout with a few random channels: perceptual losses in milliseconds."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from videostyle.perceptual import CONVOLUTIONS


def tiny_weights(name: str = "vgg16", channels: int = 6) -> dict[str, Tensor]:
    torch.manual_seed(0)
    weights, index, inputs = {}, 0, 3
    for count in CONVOLUTIONS[name]:
        for _ in range(count):
            weights[f"features.{index}.weight"] = torch.randn(channels, inputs, 3, 3) / (inputs * 4.5) ** 0.5
            weights[f"features.{index}.bias"] = torch.zeros(channels)
            index, inputs = index + 2, channels
        index += 1
    return weights


def tiny_vgg_file(folder: Path, name: str = "vgg16") -> Path:
    path = folder / f"{name}.safetensors"
    save_file(tiny_weights(name), path)
    return path
