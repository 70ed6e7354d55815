"""Perceptual networks: the features by which pictures are compared (VGG, Simonyan and Zisserman 2014)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from videostyle.errors import UsageError
from videostyle.library import shipped_folder

ENVIRONMENT = "VIDEOSTYLE_PERCEPTUAL"
STYLE_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
CONTENT_LAYER = "relu3_3"
COMPACT = Path("perceptual/vgg16-compact.safetensors")
"""Of the shipped folder."""
CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PerceptualNet(nn.Module):
    """VGG's convolutions up to the deepest layer that is asked for; frozen.

    Activations are named as in the literature: "relu3_3" follows the third convolution of the third stage.
    weights: in torchvision's layout, ``features.N.weight``; of a narrower network (see ``videostyle.compact``) also
    ``heads.relu3_3.weight``, the 1x1 convolutions that make of its activations those of the whole one.
    """

    def __init__(self, weights: dict[str, Tensor], name: str = "vgg16", deepest: str = "relu4_3") -> None:
        super().__init__()
        self.layers: list[tuple[str, bool]] = []  # activation name, pooled before it
        self.convs, self.heads = nn.ModuleList(), nn.ModuleDict()
        self.checkpointing = False
        index = 0
        for stage, count in enumerate(CONVOLUTIONS[name], start=1):
            for number in range(1, count + 1):
                layer = f"relu{stage}_{number}"
                if f"features.{index}.weight" not in weights:
                    break
                self.convs.append(_convolution(weights, f"features.{index}"))
                self.layers.append((layer, number == 1 and stage > 1))
                if f"heads.{layer}.weight" in weights:
                    self.heads[layer] = _convolution(weights, f"heads.{layer}")
                index += 2
            index += 1  # the pooling layer
        names = [layer for layer, _ in self.layers]
        if deepest not in (told := [*self.heads] or names):
            raise UsageError(f"{name} has no layer {deepest!r}; it has {', '.join(told)}")
        keep = names.index(deepest) + 1
        self.layers, self.convs = self.layers[:keep], self.convs[:keep]
        self.requires_grad_(False).eval().to(memory_format=torch.channels_last)

    @property
    def compact(self) -> bool:
        """Whether it is a narrower network that was taught by a whole one."""
        return len(self.heads) > 0

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights, and so of the activations: ``net.to(torch.bfloat16)`` makes them cheap."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are, and images have to be."""
        return next(self.parameters()).device

    def forward(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """images: float (N, 3, H, W), RGB in [0, 1]. Returns the activations of ``layers``, computing no further."""
        wanted, found = set(layers), dict[str, Tensor]()
        x, first = self.normalized(images), 0
        for last, (name, _) in enumerate(self.layers):
            if name not in wanted or (self.compact and name not in self.heads):
                continue
            if self.checkpointing and x.requires_grad:
                x = checkpoint(self._stretch, x, first, last, use_reentrant=False)
            else:
                x = self._stretch(x, first, last)
            found[name] = F.relu(self.heads[name](x)) if self.compact else x
            first = last + 1
            if len(found) == len(wanted):
                return found
        raise UsageError(f"this perceptual network has no layer {min(wanted - set(found))!r}")

    def normalized(self, images: Tensor) -> Tensor:
        """What the first convolution gets of images, as ``forward`` takes them."""
        mean, std = (images.new_tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
        return ((images - mean) / std).to(self.dtype, memory_format=torch.channels_last)

    def _stretch(self, x: Tensor, first: int, last: int) -> Tensor:
        """The layers from one wanted activation to the next: what a checkpoint computes again."""
        for conv, (_, pooled) in zip(self.convs[first : last + 1], self.layers[first : last + 1], strict=True):
            x = F.relu(conv(F.max_pool2d(x, 2) if pooled else x), inplace=True)
        return x


def _convolution(weights: dict[str, Tensor], name: str) -> nn.Conv2d:
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    made = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], padding=weight.shape[2] // 2)
    made.load_state_dict({"weight": weight.float(), "bias": bias.float()})
    return made


def load_perceptual(
    source: str | Path | None = None, *, deepest: str = "relu4_3", otherwise: str = "vgg16"
) -> PerceptualNet:
    """Perceptual network from ``source``, else from $VIDEOSTYLE_PERCEPTUAL, else from ``otherwise``.

    source: "vgg16" or "vgg19" (torchvision's ImageNet weights, downloaded once and cached), "compact" (comes with
    videostyle, see ``videostyle.compact``), or a file of weights in torchvision's layout (``features.N.weight``):
    safetensors, or .pth read with ``weights_only=True``.
    Raises UsageError where there is no such file, it is of another layout, or the download fails.
    """
    source = str(source or os.environ.get(ENVIRONMENT) or otherwise)
    if source in CONVOLUTIONS:
        weights = _download(source)
    else:
        weights = _read(shipped_folder() / COMPACT if source == "compact" else Path(source))
    if any(key.startswith("heads.") for key in weights):
        return PerceptualNet(weights, deepest=deepest)
    count = sum(key.startswith("features.") and key.endswith(".weight") for key in weights)
    for name, stages in CONVOLUTIONS.items():
        if sum(stages) == count:
            return PerceptualNet(weights, name, deepest)
    raise UsageError(f"{source} holds {count} layers features.N.weight; VGG-16 has 13 of them and VGG-19 has 16")


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UsageError(f"no perceptual weights at {path}: name a file, or vgg16 or vgg19 to download them") from error
    except Exception as error:  # what unpickling raises of any file that is none is no closed list
        raise UsageError(f"{path} cannot be read as perceptual weights: {error}") from error
    return weights


def _download(name: str) -> dict[str, Tensor]:
    from torchvision import models

    try:
        model: Any = models.get_model(name, weights="IMAGENET1K_V1")
    except OSError as error:
        raise UsageError(
            f"the weights of {name} could not be downloaded ({error}): go online once, or give a file by --perceptual "
            f"or ${ENVIRONMENT}"
        ) from error
    return dict(model.state_dict())
