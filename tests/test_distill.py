"""Students: what is cut out of a larger net, and whom they copy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.banks import tiny_bank, tiny_transformer_bank
from videostyle.distill import Teacher, mismatch, pruned
from videostyle.errors import UsageError
from videostyle.net import StyleNet, build
from videostyle.styles import NetConfig, StyleBank, StyleCard

LARGE = NetConfig(channels=12, blocks=3, head=8)
SMALL = NetConfig(channels=8, blocks=2, head=4)


def bank_of(config: NetConfig) -> StyleBank:
    torch.manual_seed(1)
    net = StyleNet(config)
    styles = net.neutral(3) + 0.3 * torch.randn(3, net.style_size)
    body = {name: value.numpy() for name, value in net.state_dict().items()}
    return StyleBank(config, body, styles.detach().numpy(), tuple(map(StyleCard, ("identity", "rain", "sun"))))


def painted(bank: StyleBank) -> torch.Tensor:
    net = build(bank.config).eval()
    net.load_state_dict({name: torch.from_numpy(value) for name, value in bank.body.items()})
    photos = torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        out: torch.Tensor = net(photos, torch.from_numpy(bank.styles[1:]))
    return out


def test_what_is_never_used_is_what_goes() -> None:
    """Channels and blocks that change nothing are added to a small net: pruning finds them all."""
    small = bank_of(SMALL)
    large = bank_of(LARGE)
    net = StyleNet(LARGE)
    rng = np.random.default_rng(0)
    trunk, head = np.sort(rng.permutation(12)[:8]), np.sort(rng.permutation(8)[:4])
    body = {name: np.zeros_like(value) for name, value in large.body.items()}

    def put(name: str, outputs: np.ndarray, inputs: np.ndarray | None, of: str) -> None:
        weight, inputs = small.body[f"{of}.conv.weight"], inputs if inputs is not None else np.arange(48)
        body[f"{name}.conv.weight"][np.ix_(outputs, inputs)] = weight
        body[f"{name}.conv.bias"][outputs] = small.body[f"{of}.conv.bias"]

    put("stem", trunk, None, "stem")
    for number, i in enumerate((0, 2)):
        put(f"blocks.{i}.conv1", trunk, trunk, f"blocks.{number}.conv1")
        put(f"blocks.{i}.conv2", trunk, trunk, f"blocks.{number}.conv2")
    put("up", head, trunk, "up")
    put("out", np.arange(12), head, "out")
    old = np.split(small.styles, np.cumsum(StyleNet(SMALL).style_sizes)[:-1], axis=1)
    rows = [np.zeros((3, size), np.float32) for size in net.style_sizes]
    for row, part, kept, width in (
        (0, old[0], trunk, 12),
        *((1 + 2 * i + j, old[1 + 2 * n + j], trunk, 12) for n, i in enumerate((0, 2)) for j in (0, 1)),
        (7, old[-1], head, 8),
    ):
        rows[row].reshape(3, -1, width)[..., kept] = part.reshape(3, -1, len(kept))
    large = StyleBank(LARGE, body, np.concatenate(rows, 1), large.cards)
    torch.testing.assert_close(painted(large), painted(small))
    cut = pruned(large, SMALL)
    assert cut.config == SMALL
    assert cut.names == large.names
    torch.testing.assert_close(painted(cut), painted(small))


def test_nothing_to_cut_changes_nothing() -> None:
    bank = bank_of(LARGE)
    torch.testing.assert_close(painted(pruned(bank, LARGE)), painted(bank))


@pytest.mark.parametrize("config", [NetConfig(channels=16, blocks=1, head=4), NetConfig(channels=4, blocks=2, head=4)])
def test_a_net_does_not_grow(config: NetConfig) -> None:
    with pytest.raises(UsageError, match="a net of 8 channels, 1 blocks and head 4 shrinks only"):
        pruned(tiny_bank(), config)


def test_other_kinds_are_not_pruned() -> None:
    with pytest.raises(UsageError, match="shrinks only"):
        pruned(tiny_transformer_bank(), SMALL)


def test_a_teacher_paints_as_its_bank(tmp_path: Path) -> None:
    bank = bank_of(SMALL)
    teacher = Teacher(bank, ["sun", "rain"], "cpu", torch.float32)
    photos = torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(teacher(photos, torch.tensor([1, 0])), painted(bank))
    assert teacher.body_hash == bank.body_hash


def test_features_that_are_the_same_do_not_differ() -> None:
    features = {"a": torch.rand(2, 3, 4, 4), "b": torch.rand(2, 5, 2, 2)}
    assert mismatch(features, features).tolist() == [0, 0]
    double = {name: 2 * value for name, value in features.items()}
    torch.testing.assert_close(mismatch(double, features), torch.tensor([2.0, 2.0]))
