"""The library's feed-forward nets beside optimisation: something to begin with, and something to learn from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videostyle.frame import Image
from videostyle.losses import total_variation
from videostyle.net import build
from videostyle.quality import to_tensor
from videostyle.scaling import scale
from videostyle.styles import IDENTITY, StyleBank, StyleMix

TRIED_AT = 320
"""Longer side in pixels of the paintings by which styles are compared."""
TUNING_STEPS, TUNING_RATE, CROP, BATCH = 300, 1e-3, 192, 4


class BankNet:
    """A bank's net in eager PyTorch, painting one mix, float32.

    vector: float32 (P,), as ``StyleBank.vector`` gives it.
    """

    def __init__(self, bank: StyleBank, vector: NDArray[np.float32], device: str = "cpu") -> None:
        self._net = build(bank.config)
        self._net.load_state_dict({name: torch.from_numpy(value) for name, value in bank.body.items()})
        self._net.eval().to(device)
        self._vector = torch.from_numpy(vector)[None].to(device)
        self._device = device

    @torch.inference_mode()
    def __call__(self, photo: Image) -> Image:
        """uint8 (H, W, 3) -> uint8 (H, W, 3)."""
        out = self._net(to_tensor(photo).to(self._device), self._vector)
        painted: Image = (out[0].permute(1, 2, 0).clamp(0, 1) * 255).round().byte().cpu().numpy()
        return painted

    def tune(self, pairs: Sequence[tuple[Image, Image]], steps: int = TUNING_STEPS, seed: int = 0) -> None:
        """Learn to paint as in pairs of a photo and its painting, uint8 (H, W, 3), body and style (Texler et al. 2020).

        The loss is the mean absolute difference of pixels and of their slopes, on crops; the last steps are the finest.
        """
        draw = np.random.default_rng(seed)
        vector = self._vector.clone().requires_grad_()
        trained = [vector, *self._net.requires_grad_(True).parameters()]
        optimizer = torch.optim.Adam(trained, lr=TUNING_RATE)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            photos, paintings = _crops(pairs, draw)
            out = self._net(photos.to(self._device), vector)
            change = out - paintings.to(self._device)
            loss = change.abs().mean() + total_variation(change).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            falling.step()
        self._net.requires_grad_(False)
        self._vector = vector.detach()

    def state(self) -> dict[str, Tensor]:
        """What ``tune`` learned, for ``load_state``."""
        return {**{f"net.{name}": value for name, value in self._net.state_dict().items()}, "vector": self._vector}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take on what another one learned."""
        net = {name.removeprefix("net."): value for name, value in state.items() if name != "vector"}
        self._net.load_state_dict(net)
        self._vector = state["vector"].to(self._device)


def nearest(bank: StyleBank, photo: Image, distance: Callable[[Image], float]) -> str:
    """The style of ``bank`` whose painting of ``photo``, uint8 (H, W, 3), has the smallest ``distance``."""
    share = min(1.0, TRIED_AT / max(photo.shape))
    small = scale(photo, (max(16, round(photo.shape[1] * share)), max(16, round(photo.shape[0] * share))))
    names = [name for name in bank.names if name != IDENTITY]
    return min(names, key=lambda name: distance(BankNet(bank, bank.vector(StyleMix(((name, 1.0),))))(small)))


def _crops(pairs: Sequence[tuple[Image, Image]], draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A batch of the same parts of photos and paintings, float32 (N, 3, h, w)."""
    photos, paintings = [], []
    for number in draw.integers(len(pairs), size=BATCH):
        height, width = pairs[number][0].shape[:2]
        high, wide = min(CROP, height), min(CROP, width)
        top, left = int(draw.integers(height - high + 1)), int(draw.integers(width - wide + 1))
        photo, painting = (image[top : top + high, left : left + wide] for image in pairs[number])
        photos.append(np.ascontiguousarray(photo))
        paintings.append(np.ascontiguousarray(painting))
    return to_tensor(np.stack(photos)), to_tensor(np.stack(paintings))
