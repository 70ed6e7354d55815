"""Students: what is cut out of a larger net."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.banks import painted, pictures, tiny_bank, tiny_transformer_bank
from videostyle.errors import UsageError
from videostyle.net import StyleNet
from videostyle.prune import Fit, pruned
from videostyle.quality import to_tensor
from videostyle.styles import NetConfig, StyleBank

SMALL = NetConfig(channels=8, blocks=2, head=3, inner=4)
PHOTOS = pictures(3, 48, 64)


def cut(bank: StyleBank, config: NetConfig) -> StyleBank:
    return pruned(bank, config, to_tensor(PHOTOS))


def doubled(bank: StyleBank, inner: int, head: int) -> StyleBank:
    """The same paintings by a wider net: some channels are there twice, and each of the two is read half."""
    config = replace(bank.config, inner=inner, head=head)
    body, net = dict(bank.body), StyleNet(bank.config)
    parts = np.split(bank.styles, np.cumsum(net.style_sizes)[:-1], axis=1)
    rng = np.random.default_rng(0)

    def widen(first: str, norm: int, second: str, had: int, count: int) -> None:
        origin = rng.permutation(np.concatenate([np.arange(had), rng.choice(had, count - had, replace=False)]))
        times = np.bincount(origin)[origin]
        for name in ("weight", "bias"):
            body[f"{first}.conv.{name}"] = body[f"{first}.conv.{name}"][origin]
        body[f"{second}.conv.weight"] = body[f"{second}.conv.weight"][:, origin] / times[:, None, None]
        parts[norm] = parts[norm].reshape(len(parts[norm]), 2, had)[..., origin].reshape(len(parts[norm]), -1)

    for i in range(config.blocks):
        widen(f"blocks.{i}.conv1", 1 + 2 * i, f"blocks.{i}.conv2", bank.config.hidden, inner)
    widen("up", -1, "out", bank.config.head, head)
    body = {name: value.astype(np.float32) for name, value in body.items()}
    return StyleBank(config, body, np.concatenate(parts, 1), bank.cards)


def test_channels_that_say_nothing_new_go() -> None:
    small = tiny_bank(config=SMALL)
    large = doubled(small, inner=7, head=5)
    torch.testing.assert_close(painted(large, PHOTOS), painted(small, PHOTOS))
    found = cut(large, SMALL)
    assert found.config == SMALL
    assert found.names == large.names
    assert (painted(found, PHOTOS) - painted(small, PHOTOS)).abs().max() < 2e-3


def test_nothing_to_cut_changes_next_to_nothing() -> None:
    bank = tiny_bank(config=SMALL)
    assert (painted(cut(bank, SMALL), PHOTOS) - painted(bank, PHOTOS)).abs().max() < 2e-3


def test_weights_that_stay_make_up_for_those_that_go() -> None:
    """Solved anew, the same channels paint closer to what all of them painted than as they were."""
    large = tiny_bank(config=replace(SMALL, inner=8, head=6))
    found = cut(large, SMALL)
    bare = dict(found.body)
    for i in range(SMALL.blocks):
        kept = [
            next(k for k, row in enumerate(large.body[f"blocks.{i}.conv1.conv.weight"]) if np.array_equal(row, wanted))
            for wanted in found.body[f"blocks.{i}.conv1.conv.weight"]
        ]
        for name in ("weight", "bias"):
            whole = large.body[f"blocks.{i}.conv2.conv.{name}"]
            bare[f"blocks.{i}.conv2.conv.{name}"] = whole[:, kept] if name == "weight" else whole
    wanted = painted(large, PHOTOS)
    as_it_was = (painted(replace(found, body=bare), PHOTOS) - wanted).square().mean()
    assert (painted(found, PHOTOS) - wanted).square().mean() < 0.7 * as_it_was


def test_a_fit_finds_the_inputs_that_others_cannot_stand_in_for() -> None:
    torch.manual_seed(0)
    free = torch.randn(2, 3, 12, 12)
    inputs = torch.stack([free[:, 0], free[:, 1], free[:, 0] + free[:, 1], free[:, 2]], 1)
    weight, bias = torch.randn(5, 4, 3, 3), torch.randn(5)
    padded = F.pad(inputs, (1, 1, 1, 1), mode="reflect")
    outputs = F.conv2d(padded, weight, bias)
    fit = Fit()
    fit.add(inputs, outputs)
    kept, solved, offset = fit.fewest(3)
    assert 3 in kept
    torch.testing.assert_close(F.conv2d(padded[:, kept], solved, offset), outputs, atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize(
    "config",
    [
        replace(SMALL, channels=4),
        replace(SMALL, blocks=1),
        replace(SMALL, head=4),
        replace(SMALL, inner=5),
        replace(SMALL, inner=None),
    ],
)
def test_only_inner_width_and_head_shrink(config: NetConfig) -> None:
    with pytest.raises(UsageError, match="8 channels, 2 blocks, inner width 4 and head 3: a net that begins with it"):
        cut(tiny_bank(config=SMALL), config)


def test_other_kinds_are_not_pruned() -> None:
    with pytest.raises(UsageError, match="a net that begins with it"):
        cut(tiny_transformer_bank(), SMALL)
