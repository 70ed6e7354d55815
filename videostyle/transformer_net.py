"""The network of PyTorch's fast_neural_style example, its instance norms fed from a style vector.

Layers and names are those of ``TransformerNet`` in pytorch/examples (Johnson et al. 2016 with the instance norm of
Ulyanov et al. 2016), so that checkpoints of it import without a change to their weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videostyle.styles import NetConfig

CONFIG = NetConfig(kind="transformernet", channels=128, blocks=5, head=64)
SHRINK = 4
LEAST = 8
"""Below this the reflection padding would exceed the picture: 4 pixels at full size, 1 at quarter size."""


def _reflect(x: Tensor, pixels: int) -> Tensor:
    return F.pad(x, (pixels, pixels, pixels, pixels), mode="reflect")


class ConvLayer(nn.Module):
    """Convolution behind reflection padding, behind nearest upsampling where ``upsample`` is above 1."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, upsample: int = 1) -> None:
        super().__init__()
        self.upsample = upsample
        self.conv2d = nn.Conv2d(inputs, outputs, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        if self.upsample > 1:
            x = F.interpolate(x, scale_factor=float(self.upsample), mode="nearest")
        out: Tensor = self.conv2d(_reflect(x, self.conv2d.kernel_size[0] // 2))
        return out


class ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvLayer(channels, channels, 3)
        self.conv2 = ConvLayer(channels, channels, 3)

    def forward(self, x: Tensor, first: Tensor, second: Tensor) -> Tensor:
        y = F.relu(norm(self.conv1(x), first))
        return x + norm(self.conv2(y), second)


def norm(x: Tensor, style: Tensor) -> Tensor:
    """Instance norm of x (N, C, H, W) with scales and shifts from style (N or 1, 2C).

    Written as a group norm of one channel a group: on CPUs that keeps channels last and costs a third.
    """
    scale, shift = style.to(x.dtype)[:, :, None, None].chunk(2, dim=1)
    return torch.addcmul(shift, F.group_norm(x, x.shape[1], eps=1e-5), scale)


class TransformerNet(nn.Module):
    """fast_neural_style's net; ``forward`` takes and gives [0, 1] although its weights expect 0..255.

    config: ``channels`` at quarter size, half of that in ``head`` at half size, a quarter at full size.
    style_size: P, the scales and shifts of all instance norms in the order of ``norm_names``.
    """

    def __init__(self, config: NetConfig = CONFIG) -> None:
        super().__init__()
        quarter, half, full = config.channels, config.head, config.head // 2
        self.conv1 = ConvLayer(3, full, 9)
        self.conv2 = ConvLayer(full, half, 3, stride=2)
        self.conv3 = ConvLayer(half, quarter, 3, stride=2)
        self.blocks = config.blocks
        for i in range(1, config.blocks + 1):
            self.add_module(f"res{i}", ResidualBlock(quarter))
        self.deconv1 = ConvLayer(quarter, half, 3, upsample=2)
        self.deconv2 = ConvLayer(half, full, 3, upsample=2)
        self.deconv3 = ConvLayer(full, 3, 9)
        widths = {"in1": full, "in2": half, "in3": quarter}
        widths |= {f"res{i}.in{j}": quarter for i in range(1, config.blocks + 1) for j in (1, 2)}
        widths |= {"in4": half, "in5": full}
        self.norm_names = tuple(widths)
        self.style_sizes = [2 * width for width in widths.values()]
        self.style_size = sum(self.style_sizes)

    def forward(self, x: Tensor, styles: Tensor) -> Tensor:
        """x: float (N, 3, H, W), RGB in [0, 1], any size. styles: float (N, P) or (1, P).

        Returns float (N, 3, H, W) in [0, 1]. Sides that are no multiple of 4 grow to the right and below by reflection
        (those below 8 by replication, having too little to reflect) and are cropped again.
        """
        height, width = x.shape[-2:]
        x = F.pad(x, (0, max(0, LEAST - width), 0, max(0, LEAST - height)), mode="replicate")
        x = F.pad(x, (0, -x.shape[-1] % SHRINK, 0, -x.shape[-2] % SHRINK), mode="reflect") * 255
        vectors = iter(torch.split_with_sizes(styles, self.style_sizes, dim=1))
        x = F.relu(norm(self.conv1(x), next(vectors)))
        x = F.relu(norm(self.conv2(x), next(vectors)))
        x = F.relu(norm(self.conv3(x), next(vectors)))
        for i in range(1, self.blocks + 1):
            x = self.get_submodule(f"res{i}")(x, next(vectors), next(vectors))
        x = F.relu(norm(self.deconv1(x), next(vectors)))
        x = F.relu(norm(self.deconv2(x), next(vectors)))
        x = self.deconv3(x)[..., :height, :width]
        return (x / 255).clamp(0, 1)
