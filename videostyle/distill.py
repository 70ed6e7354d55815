"""A trained bank as the teacher of a smaller one.

A small net takes many steps to learn from Gram matrices alone; a painting of each photo to copy, pixel by pixel and
feature by feature, shows it the way (Romero et al. 2015; Wang et al. 2020 for style transfer).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videostyle.errors import UsageError
from videostyle.losses import Features, relative_error
from videostyle.net import StyleNet, build
from videostyle.styles import NetConfig, StyleBank


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


def pruned(bank: StyleBank, config: NetConfig) -> StyleBank:
    """``bank`` with the channels and blocks that matter most, as many as ``config`` has: where a student begins.

    Channels are ranked by the size of the weights that read them, times how much the styles make of them (Li et al.
    2017); the ones that all blocks share are ranked together. What comes out paints worse until it is trained.
    Raises UsageError where ``config`` is of another kind or larger.
    """
    old = bank.config
    sizes = [(getattr(config, name), getattr(old, name)) for name in ("channels", "blocks", "head")]
    if config.kind != "stylenet" or old.kind != "stylenet" or any(new > had for new, had in sizes):
        raise UsageError(f"a net of {sizes[0][1]} channels, {sizes[1][1]} blocks and head {sizes[2][1]} shrinks only")
    with torch.device("meta"):
        net = build(old)
    assert isinstance(net, StyleNet)
    stem, *inner, last = np.split(bank.styles, np.cumsum(net.style_sizes)[:-1], axis=1)
    read = {name: np.abs(value).sum((0, 2, 3)) for name, value in bank.body.items() if value.ndim == 4}
    made = {i: np.abs(_scale(inner[2 * i + 1], old.channels)) for i in range(old.blocks)}
    blocks = sorted(_largest(np.array([made[i].mean() for i in made]), config.blocks))
    shared = read["up.conv.weight"] + sum(read[f"blocks.{i}.conv1.conv.weight"] for i in blocks)
    trunk = _largest(shared * (np.abs(_scale(stem, old.channels)) + sum(made[i] for i in blocks)), config.channels)
    head = _largest(read["out.conv.weight"] * np.abs(_scale(last, old.head)), config.head)
    body = {**_cut(bank.body, "stem", "stem", trunk), **_cut(bank.body, "up", "up", head, trunk)}
    rows = [_parts(stem, old.channels, trunk)]
    for number, i in enumerate(blocks):
        seen = read[f"blocks.{i}.conv2.conv.weight"] * np.abs(_scale(inner[2 * i], old.channels))
        inside = _largest(seen, config.channels)
        body |= _cut(bank.body, f"blocks.{i}.conv1", f"blocks.{number}.conv1", inside, trunk)
        body |= _cut(bank.body, f"blocks.{i}.conv2", f"blocks.{number}.conv2", trunk, inside)
        rows += [_parts(inner[2 * i], old.channels, inside), _parts(inner[2 * i + 1], old.channels, trunk)]
    body |= _cut(bank.body, "out", "out", np.arange(12), head)
    styles = np.concatenate([*rows, _parts(last, old.head, head)], 1)
    return replace(bank, config=config, body=body, styles=styles, ranges={})


def _largest(values: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    return np.sort(np.argsort(values)[len(values) - count :])


def _scale(row: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Mean size of each channel's scale over the styles, from the part of the style vectors for one norm."""
    size: NDArray[np.float32] = np.abs(row[:, :channels]).mean(0)
    return size


def _parts(row: NDArray[np.float32], channels: int, kept: NDArray[np.intp]) -> NDArray[np.float32]:
    """The numbers of the ``kept`` channels: scales, shifts and what else there is."""
    parts = row.reshape(len(row), -1, channels)[..., kept]
    return parts.reshape(len(row), -1)


def _cut(
    body: Mapping[str, NDArray[np.float32]],
    name: str,
    new_name: str,
    outputs: NDArray[np.intp],
    inputs: NDArray[np.intp] | None = None,
) -> dict[str, NDArray[np.float32]]:
    weight = body[f"{name}.conv.weight"][outputs]
    weight = weight if inputs is None else weight[:, inputs]
    return {f"{new_name}.conv.weight": weight, f"{new_name}.conv.bias": body[f"{name}.conv.bias"][outputs]}
