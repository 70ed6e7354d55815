"""The compact perceptual network: it sees what the whole one sees, and a file of it is as good as the net."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.banks import pictures, tiny_bank
from tests.tiny_vgg import tiny_vgg_file, tiny_weights
from videostyle import compact, learn
from videostyle.compact import Examples, main, narrowed, write
from videostyle.distill import mismatch
from videostyle.errors import UsageError
from videostyle.losses import Features, gram, style_distance
from videostyle.perceptual import STYLE_LAYERS, PerceptualNet, load_perceptual
from videostyle.pictures import save_picture
from videostyle.quality import features, load_photos
from videostyle.styles import IDENTITY

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photos, pictures, a bank and a tiny VGG."""
    monkeypatch.setattr(compact, "CROP", 64)
    for name in ("photos", "pictures"):
        (tmp_path / name).mkdir()
        for number, image in enumerate(pictures(2, 64, 96, seed=len(name))):
            save_picture(tmp_path / name / f"{number}.png", image)
    tiny_bank(IDENTITY, "rain", "sun").save(tmp_path / "bank.safetensors")
    tiny_vgg_file(tmp_path)
    return tmp_path


def images() -> torch.Tensor:
    return torch.rand(4, 3, 48, 48, generator=torch.Generator().manual_seed(1))


def errors(found: Features, wanted: Features) -> tuple[float, float]:
    """Of activations and of Gram matrices."""
    grams = {name: gram(of) for name, of in wanted.items()}
    return float(mismatch(found, wanted).mean()), float(style_distance(found, grams).mean())


def test_what_keeps_its_width_sees_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact, "NARROWER", 1)
    monkeypatch.setattr(compact, "RIDGE", 1e-9)
    whole = PerceptualNet(tiny_weights())
    same = narrowed(whole, [images()])
    with torch.no_grad():
        activations, grams = errors(same(images(), STYLE_LAYERS), whole(images(), STYLE_LAYERS))
    assert activations < 1e-3
    assert grams < 1e-3


def test_a_narrow_one_is_closer_than_chance() -> None:
    whole = PerceptualNet(tiny_weights())
    narrow = narrowed(whole, [images()])
    wanted = whole(images(), STYLE_LAYERS)
    found = narrow(images(), STYLE_LAYERS)
    assert {name: value.shape for name, value in found.items()} == {k: v.shape for k, v in wanted.items()}
    assert sum(p.numel() for p in narrow.convs.parameters()) < 0.6 * sum(p.numel() for p in whole.convs.parameters())
    flat = {name: value.mean((0, 2, 3), keepdim=True).expand_as(value) for name, value in wanted.items()}
    assert errors(found, wanted)[0] < 0.8 * errors(flat, wanted)[0]


def test_a_file_is_as_good_as_the_net(tmp_path: Path) -> None:
    net = narrowed(PerceptualNet(tiny_weights()), [images()])
    write(net, net.state_dict(), tmp_path / "x.safetensors", 3)
    again = load_perceptual(tmp_path / "x.safetensors")
    wanted = net(images(), STYLE_LAYERS)
    for name, value in again(images(), STYLE_LAYERS).items():
        torch.testing.assert_close(value, wanted[name], atol=2e-2, rtol=2e-2)
    with pytest.raises(UsageError, match="no layer 'relu1_1'"):  # of which it has but some channels
        again(images(), ("relu1_1",))
    with pytest.raises(UsageError, match="no layer 'relu5_1'; it has relu1_2, relu2_2, relu3_3, relu4_3"):
        load_perceptual(tmp_path / "x.safetensors", deepest="relu5_1")


def test_examples_depend_on_their_number_alone(folder: Path) -> None:
    bank = tiny_bank(IDENTITY, "rain", "sun")
    examples, again = (Examples(folder / "photos", folder / "pictures", bank) for _ in range(2))
    batches = examples.ahead(2)
    torch.testing.assert_close(next(batches), again(2))
    torch.testing.assert_close(next(batches), again(3))
    batch = again(2)
    assert batch.shape == (compact.PHOTOS + compact.PAINTED + compact.PICTURES, 3, 64, 64)
    assert 0 <= batch.min() < batch.max() <= 1


def test_examples_show_what_was_learned(folder: Path) -> None:
    bank = tiny_bank(IDENTITY, "rain", "sun")
    examples = Examples(folder / "photos", folder / "pictures", bank)
    before = examples(2)
    examples.learned = bank.styles[1:] * 3
    differs = (examples(2) - before).abs().mean((1, 2, 3)) > 0
    first = compact.PHOTOS
    assert differs.tolist() == [first <= at < first + compact.LEARNED for at in range(len(before))]


def test_it_learns_and_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setattr(compact, "SAVE_EVERY", 1)
    monkeypatch.setattr(compact, "TELL_EVERY", 1)
    monkeypatch.setattr(compact, "LEARN_AT", 0.0)
    monkeypatch.setattr(compact, "KEPT", (1, 2))
    for name, value in {"POOL": 4, "HELD_OUT": 2, "BATCH": 2, "CROP": 64}.items():
        monkeypatch.setattr(learn, name, value)
    out = folder / "narrow.safetensors"
    of = ["--perceptual", str(folder / "vgg16.safetensors"), "--photos", str(folder / "photos")]
    of += ["--pictures", str(folder / "pictures"), "--bank", str(folder / "bank.safetensors")]
    main([str(out), *of, "--minutes", "0.02"])
    assert load_perceptual(out)(images(), ("relu4_3",))["relu4_3"].isfinite().all()
    assert len(torch.load(folder / "narrow.pt", weights_only=True)["learned"]) == 2 * len(compact.KEPT)
    first = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    main([str(out), *of, "--minutes", "0.04"])
    more = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    assert more[0].startswith(f"step {len(first) + 1}:")
    assert [*folder.glob("*.partial")] == []


def test_the_shipped_one_sees_what_vgg_sees(shared: Path) -> None:
    whole, narrow = load_perceptual(shared / "weights/vgg16-features.safetensors"), load_perceptual("compact")
    photo = load_photos(shared / "photos/research", ("mmpose_0002.jpg",), 320, 180)[0]
    picture = np.ascontiguousarray(photo[::-1, :, ::-1])
    for image in (photo, picture):
        activations, grams = errors(features(image, narrow), features(image, whole))
        assert activations < 0.8
        assert grams < 0.4
