"""A trained bank as the teacher of a smaller one.

A small net takes many steps to learn from Gram matrices alone; a painting of each photo to copy, pixel by pixel and
feature by feature, shows it the way (Romero et al. 2015; Wang et al. 2020 for style transfer).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from videostyle.errors import UsageError
from videostyle.losses import Features, relative_error
from videostyle.net import build
from videostyle.styles import StyleBank


class Teacher:
    """Paints as ``bank`` does.

    names: of the student's styles, in its order. device, dtype: where and in what its net runs.
    Raises UsageError where the bank lacks one of the styles.
    """

    def __init__(self, bank: StyleBank, names: Sequence[str], device: str, dtype: torch.dtype) -> None:
        if missing := [name for name in names if name not in bank.names]:
            raise UsageError(f"the teacher has no style {missing[0]}; it has {', '.join(bank.names)}")
        self.body_hash = bank.body_hash
        net = build(bank.config)
        net.load_state_dict({name: torch.from_numpy(value) for name, value in bank.body.items()})
        self._net = net.eval().requires_grad_(False).to(device, dtype).to(memory_format=torch.channels_last)
        rows = [bank.styles[bank.names.index(name)] for name in names]
        self._styles = torch.stack([torch.from_numpy(row) for row in rows]).to(device, dtype)
        self._dtype = dtype

    @torch.no_grad()
    def __call__(self, photos: Tensor, which: Tensor) -> Tensor:
        """photos: float (N, 3, H, W) in [0, 1]. which: int (N,), their styles. Returns float32 (N, 3, H, W)."""
        photos = photos.to(self._dtype, memory_format=torch.channels_last)
        painted: Tensor = self._net(photos, self._styles[which])
        return painted.float()


def mismatch(features: Features, taught: Features) -> Tensor:
    """Relative error of activations, summed over the layers of ``taught``: float32 (N,)."""
    return torch.stack([relative_error(features[name], value) for name, value in taught.items()]).sum(0)
