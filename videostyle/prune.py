"""A trained net with fewer channels where they cost most and are missed least.

The trunk that all blocks read and write stays as it is. Between the two convolutions of a block, and before the last
one of the net, the inputs go that the next convolution can best do without, and its weights are solved anew for the
ones that stay, so that on photos it gives what it gave (He et al. 2017), layer after layer: each sees what the ones
before it have become.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from videostyle.errors import UsageError
from videostyle.net import Block, StyleNet, build
from videostyle.styles import NetConfig, StyleBank

_RIDGE = 1e-6
"""Of the mean square of all inputs: keeps inputs that say the same apart."""


class Fit:
    """Least squares for a 3x3 convolution behind reflection padding: which inputs it needs, and by which weights."""

    def __init__(self) -> None:
        self._gram = self._cross = torch.zeros((), dtype=torch.float64)

    def add(self, inputs: Tensor, outputs: Tensor) -> None:
        """inputs: float (N, C, H, W). outputs: float (N, O, H, W), what the convolution should make of them."""
        columns = F.unfold(F.pad(inputs, (1, 1, 1, 1), mode="reflect"), 3).transpose(0, 1).flatten(1)
        columns = torch.cat([columns, columns.new_ones(1, columns.shape[1])])  # the last one is for the bias
        self._gram = self._gram + (columns @ columns.T).double()
        self._cross = self._cross + (columns @ outputs.transpose(0, 1).flatten(1).T).double()

    def fewest(self, count: int) -> tuple[list[int], Tensor, Tensor]:
        """The ``count`` inputs to keep, and the weight (O, count, 3, 3) and bias (O,) that then come closest.

        One input goes at a time: the one whose absence, all others adapting to it, adds least to the squared error
        (optimal brain surgeon, Hassibi and Stork 1993).
        """
        kept = list(range(len(self._gram) // 9))
        ridge = _RIDGE * self._gram.diagonal().mean()
        while True:
            rows = torch.tensor([9 * channel + tap for channel in kept for tap in range(9)] + [len(self._gram) - 1])
            inverse = torch.linalg.inv(self._gram[rows][:, rows] + ridge * torch.eye(len(rows), dtype=torch.float64))
            solved = inverse @ self._cross[rows]
            weight = solved[:-1].unflatten(0, (-1, 9))  # (inputs, taps, outputs)
            if len(kept) == count:
                return kept, weight.permute(2, 0, 1).unflatten(2, (3, 3)).float(), solved[-1].float()
            own = inverse[:-1, :-1].unflatten(1, (-1, 9)).unflatten(0, (-1, 9))
            own = own.diagonal(dim1=0, dim2=2).permute(2, 0, 1)  # (inputs, taps, taps)
            added = (weight * torch.linalg.solve(own, weight)).sum((1, 2))
            del kept[int(added.argmin())]


@torch.inference_mode()
def pruned(bank: StyleBank, config: NetConfig, photos: Tensor) -> StyleBank:
    """``bank`` with the inner width and the head of ``config``: where a student begins, close to its teacher.

    photos: float (N, 3, H, W) in [0, 1], a handful: all styles are painted on each. Takes seconds on a CPU.
    Raises UsageError where ``config`` is of another kind, differs in more, or is larger.
    """
    old = bank.config
    shrunk = replace(old, head=config.head, inner=config.inner)
    if old.kind != "stylenet" or shrunk != config or config.head > old.head or config.hidden > old.hidden:
        raise UsageError(
            f"the bank to start from has {old.channels} channels, {old.blocks} blocks, inner width {old.hidden} and "
            f"head {old.head}: a net that begins with it has the same channels and blocks, and no more of the others"
        )
    net = build(old).eval()
    assert isinstance(net, StyleNet)
    net.load_state_dict({name: torch.from_numpy(value) for name, value in bank.body.items()})
    body, parts = dict(bank.body), list(torch.from_numpy(bank.styles).split(net.style_sizes, dim=1))
    rows = [row.split(net.style_sizes, dim=1) for row in torch.from_numpy(bank.styles)[:, None]]
    was = [net.begin(photos, row[0]) for row in rows]  # the trunk of each style, in the old net and in the new one
    now = list(was)

    def keep(first: str, norm: int, second: str, kept: list[int], weight: Tensor, bias: Tensor) -> None:
        for name in ("weight", "bias"):
            body[f"{first}.conv.{name}"] = body[f"{first}.conv.{name}"][kept]
        body[f"{second}.conv.weight"], body[f"{second}.conv.bias"] = weight.numpy(), bias.numpy()
        parts[norm] = parts[norm].unflatten(1, (net.norms[norm].parts, -1))[..., kept].flatten(1)

    for i, block in enumerate(net.blocks):
        assert isinstance(block, Block)
        fit, seen, norm = Fit(), [], 1 + 2 * i
        for s, row in enumerate(rows):
            wanted = block.conv2(block.inside(was[s], row[norm]))
            was[s] = was[s] + block.norm2(wanted, row[norm + 1])
            seen.append(block.inside(now[s], row[norm]))
            fit.add(seen[s], wanted)
        kept, weight, bias = fit.fewest(config.hidden)
        keep(f"blocks.{i}.conv1", norm, f"blocks.{i}.conv2", kept, weight, bias)
        for s, row in enumerate(rows):
            made = F.conv2d(F.pad(seen[s][:, kept], (1, 1, 1, 1), mode="reflect"), weight, bias)
            now[s] = now[s] + block.norm2(made, row[norm + 1])
    fit = Fit()
    for s, row in enumerate(rows):
        fit.add(net.head(now[s], row[-1]), net.out(net.head(was[s], row[-1])))
    keep("up", -1, "out", *fit.fewest(config.head))
    styles: NDArray[np.float32] = torch.cat(parts, 1).numpy()
    return replace(bank, config=config, body=body, styles=styles, ranges={})
