"""The imported net against the original's layers, and the import of its checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from videostyle.errors import StyleError
from videostyle.fast_neural_style import read_checkpoint
from videostyle.library import Library
from videostyle.net import build
from videostyle.styles import StyleBank, StyleCard, parse_mix

CARD = StyleCard("mosaic", "Mosaic", "Anon", "1900", "CC0")


class Layer(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, upsample: int = 1) -> None:
        super().__init__()
        steps: list[nn.Module] = [nn.Upsample(scale_factor=upsample, mode="nearest")] if upsample > 1 else []
        self.before = nn.Sequential(*steps, nn.ReflectionPad2d(kernel // 2))
        self.conv2d = nn.Conv2d(inputs, outputs, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2d(self.before(x))
        return out


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.in1 = Layer(channels, channels, 3), nn.InstanceNorm2d(channels, affine=True)
        self.conv2, self.in2 = Layer(channels, channels, 3), nn.InstanceNorm2d(channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.in2(self.conv2(torch.relu(self.in1(self.conv1(x))))) + x
        return out


class Original(nn.Module):
    """The published architecture, written from its description: 0..255 in, about 0..255 out."""

    def __init__(self, full: int = 32, blocks: int = 5) -> None:
        super().__init__()
        half, quarter = 2 * full, 4 * full
        self.conv1, self.in1 = Layer(3, full, 9), nn.InstanceNorm2d(full, affine=True)
        self.conv2, self.in2 = Layer(full, half, 3, 2), nn.InstanceNorm2d(half, affine=True)
        self.conv3, self.in3 = Layer(half, quarter, 3, 2), nn.InstanceNorm2d(quarter, affine=True)
        self.residuals = blocks
        for i in range(blocks):
            self.add_module(f"res{i + 1}", Residual(quarter))
        self.deconv1, self.in4 = Layer(quarter, half, 3, 1, 2), nn.InstanceNorm2d(half, affine=True)
        self.deconv2, self.in5 = Layer(half, full, 3, 1, 2), nn.InstanceNorm2d(full, affine=True)
        self.deconv3 = Layer(full, 3, 9)

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in ((self.conv1, self.in1), (self.conv2, self.in2), (self.conv3, self.in3)):
            x = torch.relu(norm(conv(x)))
        for i in range(self.residuals):
            x = self.get_submodule(f"res{i + 1}")(x)
        x = torch.relu(self.in5(self.deconv2(torch.relu(self.in4(self.deconv1(x))))))
        out: Tensor = self.deconv3(x)
        return out


def original(full: int = 4, blocks: int = 2) -> Original:
    """Random weights, half-precision numbers, with pictures that use the range and leave it here and there."""
    torch.manual_seed(5)
    net = Original(full, blocks)
    with torch.no_grad():
        for name, tensor in net.named_parameters():
            if "in" in name.split(".")[-2]:
                tensor.add_(0.3 * torch.randn_like(tensor))
        net.deconv3.conv2d.weight.mul_(80)
        net.state_dict()["deconv3.conv2d.bias"].fill_(120)
        for tensor in net.parameters():
            tensor.copy_(tensor.half().float())
    return net.eval()


def paint(bank: StyleBank, x: Tensor) -> Tensor:
    net = build(bank.config).eval()
    net.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in bank.body.items()})
    with torch.no_grad():
        out: Tensor = net(x, torch.from_numpy(bank.styles))
    return out


def saved(folder: Path, content: Any, name: str = "mosaic.pth") -> Path:
    torch.save(content, folder / name)
    return folder / name


@pytest.mark.parametrize(("full", "blocks", "size"), [(4, 2, (24, 32)), (4, 3, (8, 8)), (32, 5, (16, 20))])
def test_paints_as_the_original(tmp_path: Path, full: int, blocks: int, size: tuple[int, int]) -> None:
    net = original(full, blocks)
    bank = read_checkpoint(saved(tmp_path, net.state_dict()), CARD)
    x = torch.rand(2, 3, *size)
    with torch.no_grad():
        expected = net(x * 255).clamp(0, 255) / 255
    assert expected.std() > 0.1
    torch.testing.assert_close(paint(bank, x), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (2, 3), (3, 5), (7, 9), (17, 33), (22, 30), (23, 21)])
def test_every_size_comes_back(tmp_path: Path, size: tuple[int, int]) -> None:
    bank = read_checkpoint(saved(tmp_path, original().state_dict()), CARD)
    out = paint(bank, torch.rand(1, 3, *size))
    assert out.shape == (1, 3, *size)
    assert bool(torch.isfinite(out).all())


def test_odd_sizes_have_no_seam(tmp_path: Path) -> None:
    """A picture symmetric about its last column reflects onto itself: nothing may change in front of the padding."""
    net = original()
    bank = read_checkpoint(saved(tmp_path, net.state_dict()), CARD)
    half = torch.rand(1, 3, 24, 22)
    whole = torch.cat([half, half[..., :-1].flip(-1)], dim=-1)[..., :24]
    torch.testing.assert_close(paint(bank, half), paint(bank, whole)[..., :22], atol=1e-5, rtol=0)


def test_each_picture_of_a_batch_has_its_own_style(tmp_path: Path) -> None:
    bank = read_checkpoint(saved(tmp_path, original().state_dict()), CARD)
    net = build(bank.config).eval()
    net.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in bank.body.items()})
    first = torch.from_numpy(bank.styles)
    second = first * 0.7
    x = torch.rand(1, 3, 12, 16)
    with torch.no_grad():
        both = net(x.repeat(2, 1, 1, 1), torch.cat([first, second]))
        torch.testing.assert_close(both, torch.cat([net(x, first), net(x, second)]), atol=1e-5, rtol=0)
        assert float((both[0] - both[1]).abs().mean()) > 0.01


def wrapped(state: dict[str, Tensor]) -> dict[str, Any]:
    return {"epoch": 3, "state_dict": state}


def prefixed(state: dict[str, Tensor]) -> dict[str, Any]:
    return {f"module.{name}": tensor for name, tensor in state.items()}


def old(state: dict[str, Tensor]) -> dict[str, Any]:
    """As torch before 0.4 exported it."""
    norms = [name.removesuffix(".weight") for name in state if name.split(".")[-2].startswith("in")]
    extra = {
        f"{norm}.running_{part}": torch.zeros(len(state[f"{norm}.weight"]))
        for norm in norms
        if f"{norm}.weight" in state
        for part in ("mean", "var")
    }
    return {**state, **extra}


@pytest.mark.parametrize("change", [wrapped, prefixed, old, lambda state: wrapped(prefixed(old(state)))])
def test_checkpoints_in_other_clothes(tmp_path: Path, change: Any) -> None:
    state = original().state_dict()
    plain = read_checkpoint(saved(tmp_path, state), CARD)
    other = read_checkpoint(saved(tmp_path, change(state), "other.model"), CARD)
    assert other.body_hash == plain.body_hash
    assert np.array_equal(other.styles, plain.styles)


def test_checkpoint_of_the_oldest_file_format(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    torch.save(original().state_dict(), path, _use_new_zipfile_serialization=False)
    assert read_checkpoint(path, CARD).config.blocks == 2


def test_checkpoint_in_safetensors(tmp_path: Path) -> None:
    save_file(original().state_dict(), tmp_path / "mosaic.safetensors")
    assert read_checkpoint(tmp_path / "mosaic.safetensors", CARD).names == ("mosaic",)


def test_imported_style_is_a_bank_like_any_other(tmp_path: Path) -> None:
    net = original()
    library = Library(tmp_path / "none", tmp_path / "own")
    library.add(read_checkpoint(saved(tmp_path, net.state_dict()), CARD))
    bank = library.bank(parse_mix("mosaic"))
    assert bank.cards == (CARD,)
    assert bank.config.kind == "transformernet"
    assert bank.recipe == {"imported": "mosaic.pth"}
    x = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(paint(bank, x), net(x * 255).clamp(0, 255) / 255, atol=1e-4, rtol=0)


def _bad(name: str, folder: Path) -> Path:
    state = original().state_dict()
    if name == "text":
        (folder / "f.pth").write_text("weights, honestly")
    elif name == "empty":
        (folder / "f.pth").write_bytes(b"")
    elif name == "cut":
        content = saved(folder, state, "f.pth").read_bytes()
        (folder / "f.pth").write_bytes(content[: len(content) // 2])
    elif name == "pickled":
        saved(folder, original(), "f.pth")
    elif name == "list":
        saved(folder, [1, 2], "f.pth")
    elif name == "no tensor":
        saved(folder, {**state, "steps": 4}, "f.pth")
    elif name == "other net":
        saved(folder, nn.Linear(3, 4).state_dict(), "f.pth")
    elif name == "shape":
        saved(folder, {**state, "conv1.conv2d.weight": torch.zeros(4, 1, 9, 9)}, "f.pth")
    elif name == "missing":
        saved(folder, {key: tensor for key, tensor in state.items() if key != "in4.bias"}, "f.pth")
    elif name == "extra":
        saved(folder, {**state, "attention.weight": torch.zeros(3)}, "f.pth")
    elif name == "nan":
        state["res1.conv1.conv2d.bias"][0] = float("nan")
        saved(folder, state, "f.pth")
    elif name == "huge":
        state["in1.weight"][0] = 1e6
        saved(folder, state, "f.pth")
    elif name == "wide":
        saved(folder, {**state, "conv3.conv2d.weight": torch.zeros(1 << 30, 0, 3, 3)}, "f.pth")
    return folder / "f.pth"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("absent", "cannot be read: No such file"),
        ("text", "no weights that can be read safely"),
        ("empty", "no weights that can be read safely"),
        ("cut", "no weights that can be read safely"),
        ("pickled", "save net.state_dict()"),
        ("list", "no state_dict of a TransformerNet but list"),
        ("no tensor", "its entry 'steps' is no tensor"),
        ("other net", "its weights are called bias, weight"),
        ("shape", "conv1.conv2d.weight is (4, 1, 9, 9), wanted (4, 3, 9, 9)"),
        ("missing", "in4.bias is missing"),
        ("extra", "attention.weight is unknown"),
        ("nan", "res1.conv1.conv2d.bias holds values that are no usable numbers"),
        ("huge", "in1.weight holds values that are no usable numbers"),
        ("wide", "is no fast_neural_style TransformerNet"),
    ],
)
def test_files_that_are_no_such_checkpoint(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(StyleError) as caught:
        read_checkpoint(_bad(name, tmp_path), CARD)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pickled_code_does_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    with pytest.raises(StyleError, match="read safely"):
        read_checkpoint(saved(tmp_path, {"conv1.conv2d.weight": Trap()}), CARD)
    assert not (tmp_path / "sprung").exists()
