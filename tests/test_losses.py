from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.tiny_vgg import tiny_vgg_file, tiny_weights
from videostyle.errors import UsageError
from videostyle.losses import content_distance, gram, grid, relative_error, style_distance, total_variation
from videostyle.perceptual import PerceptualNet, load_perceptual


def test_gram_against_einsum_with_its_gradient() -> None:
    x = torch.randn(2, 5, 4, 3, dtype=torch.float64, requires_grad=True)
    expected = torch.einsum("nchw,ndhw->ncd", x, x) / 12
    torch.testing.assert_close(gram(x), expected.float())
    weight = torch.randn(2, 5, 5)
    (ours,) = torch.autograd.grad((gram(x) * weight).sum(), x)
    (theirs,) = torch.autograd.grad((expected * weight).sum(), x)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_gram_of_large_activations_stays_in_the_range_of_half_precision() -> None:
    x = torch.full((1, 2, 64, 64), 100.0, dtype=torch.bfloat16)
    torch.testing.assert_close(gram(x), torch.full((1, 2, 2), 10000.0), rtol=1e-2, atol=0)


def test_relative_error_needs_no_scale() -> None:
    target, value = torch.randn(3, 4, 2), torch.randn(3, 4, 2)
    torch.testing.assert_close(relative_error(value, target), relative_error(value * 7, target * 7))
    assert relative_error(target, target).tolist() == [0, 0, 0]
    torch.testing.assert_close(relative_error(torch.zeros(1, 4), torch.ones(1, 4)), torch.tensor([1.0]))


def test_distances_are_zero_for_the_picture_and_the_photo_themselves() -> None:
    features = {"relu1_2": torch.rand(2, 3, 8, 8), "relu3_3": torch.rand(2, 4, 4, 4)}
    grams = {name: gram(value) for name, value in features.items()}
    assert style_distance(features, grams).tolist() == [0, 0]
    assert content_distance(features, features, "relu3_3").tolist() == [0, 0]
    other = {name: value.roll(1, 0) for name, value in features.items()}
    assert (style_distance(other, grams) > 0).all()


def test_total_variation_of_a_checkerboard() -> None:
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2
    torch.testing.assert_close(total_variation(board.expand(1, 3, 8, 8)), torch.tensor([2.0]))


def test_grid_sees_lattices_and_steps_between_squares_and_nothing_else() -> None:
    draw = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 13, 17, generator=draw)
    plain = torch.nn.functional.interpolate(coarse, (100, 132), mode="bicubic").clamp(0, 1)
    lattice, steps = plain.clone(), plain.clone()
    lattice[..., ::4, ::4] += 0.05
    steps = torch.nn.functional.interpolate(steps[..., ::4, ::4], (100, 132))
    grain = plain + 0.05 * torch.randn(plain.shape, generator=draw)
    clean = max(float(grid(plain)), float(grid(grain)))
    assert float(grid(lattice)) > 3 * clean
    assert float(grid(steps)) > 3 * clean
    assert float(grid(torch.full((1, 3, 48, 48), 0.5))) == 0


def test_grid_pushes_a_lattice_out() -> None:
    draw = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 96, 96, generator=draw)
    image[..., 1::4, 2::4] += 0.2
    image.requires_grad_()
    before = grid(image)
    (gradient,) = torch.autograd.grad(before.sum(), image)
    assert float(grid(image.detach() - 10 * gradient / gradient.abs().max() * 0.01).sum()) < float(
        before.detach().sum()
    )


def test_perceptual_layers_against_torchvision() -> None:
    from torchvision.models import vgg16

    torch.manual_seed(0)
    model = vgg16(weights=None).features.eval()
    net = PerceptualNet({f"features.{k}": v for k, v in model.state_dict().items()})
    image = torch.rand(1, 3, 48, 40)
    with torch.no_grad():
        found = net(image, ("relu1_2", "relu3_3", "relu4_3"))
        x = (image - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
            3, 1, 1
        )
        for name, depth in {"relu1_2": 4, "relu3_3": 16, "relu4_3": 23}.items():
            torch.testing.assert_close(found[name], model[:depth](x), atol=1e-4, rtol=1e-4)
    assert list(found) == ["relu1_2", "relu3_3", "relu4_3"]


def test_perceptual_checkpointing_changes_no_gradient() -> None:
    net, grads = PerceptualNet(tiny_weights()), []
    for net.checkpointing in (False, True):
        image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
        net(image, ("relu4_3",))["relu4_3"].square().mean().backward()
        assert image.grad is not None
        grads.append(image.grad)
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_weights_from_a_file_tell_which_net_they_are(tmp_path: Path, name: str) -> None:
    path = tiny_vgg_file(tmp_path, name)
    last = {"vgg16": "relu4_3", "vgg19": "relu4_4"}[name]
    net = load_perceptual(path, deepest=last)
    assert net.layers[-1][0] == last


def test_weights_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOSTYLE_PERCEPTUAL", str(tiny_vgg_file(tmp_path)))
    assert len(load_perceptual().convs) == 10


def test_bad_perceptual_weights(tmp_path: Path) -> None:
    text = tmp_path / "notes.safetensors"
    text.write_text("no weights")
    short, pickled = tmp_path / "short.pth", tmp_path / "pickled.pth"
    torch.save({"features.0.weight": torch.zeros(1)}, short)
    torch.save({"features.0.weight": Path("x")}, pickled)
    for path, message in {
        tmp_path / "none.pth": "no perceptual weights at",
        text: "cannot be read as perceptual weights",
        short: "holds 1 layers",
        pickled: "cannot be read as perceptual weights",
    }.items():
        with pytest.raises(UsageError, match=message):
            load_perceptual(path)
    with pytest.raises(UsageError, match="has no layer 'relu9_1'"):
        load_perceptual(tiny_vgg_file(tmp_path), deepest="relu9_1")
