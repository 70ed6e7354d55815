"""Calibration for int8: NNCF's ranges against those that eager float32 sees, and their way through files."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.banks import pictures, tiny_bank, tiny_transformer_bank, with_ranges
from videostyle.engines import load_engine
from videostyle.equalize import equalized
from videostyle.errors import EngineError, StyleError, TrainingError
from videostyle.pictures import save_picture
from videostyle.quantize import calibrate, can_calibrate
from videostyle.styles import StyleBank

needs_nncf = pytest.mark.skipif(not can_calibrate(), reason="NNCF is not installed: pip install 'videostyle[quantize]'")
BANKS = {"stylenet": tiny_bank(), "transformernet": tiny_transformer_bank()}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, image in enumerate(pictures(4, 48, 64)):
        save_picture(folder / f"{number}.png", image)
    (folder / "notes.txt").write_text("no picture")
    return folder


@needs_nncf
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("kind", BANKS)
def test_a_calibrated_bank_paints_in_int8_as_in_float32(kind: str, photos: Path, tmp_path: Path) -> None:
    bank = BANKS[kind]
    calibrate(bank, photos, samples=6).save(tmp_path / "bank.safetensors")
    found = StyleBank.load(tmp_path / "bank.safetensors")
    expected = with_ranges(bank).ranges
    assert set(found.ranges) == set(expected)
    for name in list(expected)[1:]:  # the first one's input is pixels, in other units in eager
        (low, high), (least, most) = found.ranges[name], expected[name]
        assert low <= 0.5 * least, name
        assert 0.5 * most <= high <= 1.5 * max(most, -least), name
    image, vector = pictures(1, 40, 56, seed=1), found.styles[-1]
    exact, rounded = (
        load_engine(found, engine="openvino", precision=precision)(image, vector).astype(int)
        for precision in ("fp32", "int8")
    )
    assert 0 < np.abs(exact - rounded).mean() < 1.5


def test_ranges_come_back_from_the_file_and_old_files_have_none(tmp_path: Path) -> None:
    path = tmp_path / "bank.safetensors"
    ranges = {"stem": (0.0, 1.0), "out": (-2.5, 3.25)}
    replace(tiny_bank(), ranges=ranges).save(path)
    assert StyleBank.load(path).ranges == ranges
    tiny_bank().save(path)
    assert StyleBank.load(path).ranges == {}
    assert replace(tiny_bank(), ranges=ranges).body_hash == tiny_bank().body_hash


@pytest.mark.parametrize("wrong", ["[1, 2]", '{"stem": 3}', '{"stem": [0, "x"]}', "{"])
def test_damaged_ranges_are_told(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "bank.safetensors"
    replace(tiny_bank(), ranges={"stem": (0.0, 1.0)}).save(path)
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"]["ranges"] = wrong
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
    with pytest.raises(StyleError, match="damaged"):
        StyleBank.load(path)


def test_without_pictures_or_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if can_calibrate():
        with pytest.raises(TrainingError, match="holds no pictures"):
            calibrate(tiny_bank(), tmp_path)
    monkeypatch.setattr("videostyle.quantize.can_calibrate", lambda: False)
    with pytest.raises(EngineError, match=r"pip install 'videostyle\[quantize\]'"):
        calibrate(tiny_bank(), tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed")
def test_int8_without_calibration_is_an_error_with_a_way_out() -> None:
    with pytest.raises(EngineError, match=r"not calibrated for int8: python -m videostyle\.quantize"):
        load_engine(tiny_bank(), engine="openvino", precision="int8", device="cpu")


def test_channels_are_evened_out_and_paint_the_same() -> None:
    bank = tiny_bank()
    head = bank.config.head
    weights, styles = bank.body["out.conv.weight"].copy(), bank.styles.copy()
    weights[:, 0] *= 30  # one channel of large weights and small values
    styles[:, -2 * head] /= 30
    styles[:, -head] /= 30
    uneven = replace(bank, body={**bank.body, "out.conv.weight": weights}, styles=styles)
    photos = pictures(3, 40, 56)
    even = equalized(uneven, zip(photos, uneven.styles, strict=False))

    def spread(of: StyleBank) -> float:
        largest = np.abs(of.body["out.conv.weight"]).max((0, 2, 3))
        return float(largest.max() / np.median(largest))

    assert spread(even) < 0.4 * spread(uneven)
    for given, row in ((uneven, uneven.styles[-1]), (even, even.styles[-1])):
        painted = load_engine(given, engine="pytorch", precision="fp32", device="cpu")(photos, row)
        expected = load_engine(bank, engine="pytorch", precision="fp32", device="cpu")(photos, bank.styles[-1])
        assert np.abs(painted.astype(int) - expected).max() <= 1


def test_a_net_of_another_kind_is_left_as_it_is() -> None:
    bank = tiny_transformer_bank()
    assert equalized(bank, []) is bank
