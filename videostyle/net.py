"""The network of a style bank: a transformer net whose every style is one vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from videostyle.errors import StyleError
from videostyle.styles import NetConfig

SHRINK = 4
"""Images are folded to a quarter of their size by pixel unshuffle: the body works on 1/16 of the positions."""


MARGIN = SHRINK
"""Pixels that are painted beyond each edge and cut off again: reflecting folded pixels does not reflect the pixels in
them, which left the last rows a few codes darker."""


class ConditionalNorm(nn.Module):
    """Instance norm whose scale and shift come from the style vector (Dumoulin et al. 2017).

    ``keep`` adds a third number per channel that lets the unnormalised input pass: instance norm forgets the
    brightness and contrast of a picture, and the identity style has to give them back.
    """

    def __init__(self, channels: int, *, normalize: bool = True, keep: bool = False) -> None:
        super().__init__()
        self.channels, self.normalize, self.keep = channels, normalize, keep
        self.parts = 3 if keep else 2

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """x: (N, C, H, W). style: (N, parts * C): scales, shifts and, with ``keep``, how much of x passes."""
        scale, shift, *rest = style.to(x.dtype)[:, :, None, None].split(self.channels, dim=1)
        # A group a channel is instance norm; unlike F.instance_norm it keeps channels_last: half the time on a CPU.
        y = F.group_norm(x, self.channels, eps=1e-3) if self.normalize else x
        y = torch.addcmul(shift, y, scale)
        return torch.addcmul(y, x, rest[0]) if rest else y


class Conv(nn.Module):
    """3x3 convolution behind reflection padding: zeros would leave a frame around the picture."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.pad(x, (1, 1, 1, 1), mode="reflect"))
        return out


class Block(nn.Module):
    """Residual block: only its first convolution is normalised, which costs less and keeps the skip's contrast."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = Conv(channels, hidden), ConditionalNorm(hidden)
        self.conv2, self.norm2 = Conv(hidden, channels), ConditionalNorm(channels, normalize=False)

    def inside(self, x: Tensor, style1: Tensor) -> Tensor:
        """What the second convolution gets: (N, hidden, H, W)."""
        return F.relu(self.norm1(self.conv1(x), style1))

    def forward(self, x: Tensor, style1: Tensor, style2: Tensor) -> Tensor:
        out: Tensor = x + self.norm2(self.conv2(self.inside(x, style1)), style2)
        return out


class StyleNet(nn.Module):
    """Transformer net (Johnson et al. 2016) with conditional instance norm (Dumoulin et al. 2017).

    A pixel unshuffle by 4, a stem, residual blocks at quarter size, nearest upsampling and a convolution at half size
    (a convolution straight into a 4x pixel shuffle leaves a checkerboard), and a last 2x pixel shuffle.
    All that differs between styles is one vector of ``style_size`` numbers, so styles switch and blend for nothing.
    """

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        c, h = config.channels, config.head
        self.stem, self.stem_norm = Conv(3 * SHRINK**2, c), ConditionalNorm(c, keep=True)
        self.blocks = nn.ModuleList(Block(c, config.hidden) for _ in range(config.blocks))
        self.up, self.up_norm = Conv(c, h), ConditionalNorm(h, normalize=False)
        self.out = Conv(h, 12)
        self.norms = [m for m in self.modules() if isinstance(m, ConditionalNorm)]
        self.style_sizes = [norm.parts * norm.channels for norm in self.norms]
        self.style_size = sum(self.style_sizes)
        self.checkpointing = False
        with torch.no_grad():  # the four pixels of a shuffle start equal: no checkerboard to unlearn
            self.out.conv.weight.copy_(self.out.conv.weight[::4].repeat_interleave(4, 0))

    def neutral(self, count: int) -> Tensor:
        """(count, P) style vectors to start learning from: scales 1, shifts 0, nothing passed unnormalised.

        The second scale of each block starts small, so that the net begins near the identity of its trunk.
        """
        parts = []
        for i, norm in enumerate(self.norms):
            scale = 1.0 if norm.normalize or i == len(self.norms) - 1 else 0.3
            parts += [torch.full((norm.channels,), scale), torch.zeros((norm.parts - 1) * norm.channels)]
        return torch.cat(parts).repeat(count, 1)

    def forward(self, x: Tensor, styles: Tensor) -> Tensor:
        """x: float (N, 3, H, W), RGB in [0, 1], any size. styles: float (N, P) or (1, P).

        Returns float (N, 3, H, W); values may leave [0, 1] a little while training and are clamped in eval mode.
        """
        return self.paint(self.features(x, styles), styles, (x.shape[-2], x.shape[-1]))

    def features(self, x: Tensor, styles: Tensor) -> Tensor:
        """What the blocks make of images, at a quarter of their size and one position beyond each edge.

        x, styles: as ``forward`` takes them. Returns (N, channels, ceil(H / 4) + 2, ceil(W / 4) + 2).
        """
        stem, *inner, _ = styles.split(self.style_sizes, dim=1)
        x = self.begin(x, stem)
        for i, block in enumerate(self.blocks):
            args = (x, inner[2 * i], inner[2 * i + 1])
            x = checkpoint(block, *args, use_reentrant=False) if self.checkpointing else block(*args)
        return x

    def begin(self, x: Tensor, stem: Tensor) -> Tensor:
        """What the first block gets of images, for the stem's part of the style vectors; size as of ``features``."""
        height, width = x.shape[-2:]
        # The margin, and up to a multiple of 4; replication works for one pixel, too.
        right, bottom = (MARGIN + -n % SHRINK for n in (width, height))
        x = F.pixel_unshuffle(F.pad(x, (MARGIN, right, MARGIN, bottom), mode="replicate"), SHRINK)
        return F.relu(self.stem_norm(self.stem(x), stem))

    def head(self, x: Tensor, last: Tensor) -> Tensor:
        """(N, head, 2 H, 2 W) of features (N, channels, H, W), for the last part of the style vectors."""
        return F.relu(self.up_norm(self.up(F.interpolate(x, scale_factor=2.0, mode="nearest")), last))

    def paint(self, x: Tensor, styles: Tensor, size: tuple[int, int]) -> Tensor:
        """Images of ``size`` (H, W) from their ``features``: (N, 3, H, W)."""
        height, width = size
        x = self.head(x, styles.split(self.style_sizes, dim=1)[-1])
        x = F.pixel_shuffle(self.out(x), 2)[..., MARGIN : MARGIN + height, MARGIN : MARGIN + width]
        return x if self.training else x.clamp(0, 1)


def build(config: NetConfig) -> nn.Module:
    """The untrained network that a configuration names. Raises StyleError for a kind this version does not know."""
    if config.kind == "stylenet":
        return StyleNet(config)
    if config.kind == "transformernet":
        from videostyle.transformer_net import TransformerNet

        return TransformerNet(config)
    raise StyleError(f"this version of videostyle knows no network {config.kind!r}: update it, or train the bank again")
