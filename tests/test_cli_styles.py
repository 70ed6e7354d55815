"""``videostyle styles`` as a person and a program see it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.banks import TINY, tiny_bank, tiny_transformer_bank
from tests.test_transformer_net import original
from videostyle.cli import run
from videostyle.cli.common import Painting
from videostyle.cli.styles import _paint_all, compose
from videostyle.library import Library
from videostyle.pictures import load_picture, save_picture
from videostyle.styles import IDENTITY, StyleBank, StyleCard

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder, with one style: rain."""
    monkeypatch.setenv("VIDEOSTYLE_HOME", str(tmp_path / "home"))
    bank = tiny_bank(IDENTITY, "my-rain")
    bank = bank.with_cards((bank.cards[0], StyleCard("my-rain", "Rain [steam]", "Turner", "1844", "public domain")))
    Library().add(bank)
    return tmp_path / "home" / "styles"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    image = np.random.default_rng(0).integers(0, 256, (30, 48, 3), np.uint8)
    save_picture(tmp_path / "photo.png", image)
    return tmp_path / "photo.png"


def checkpoint(folder: Path) -> Path:
    torch.save(original().state_dict(), folder / "mosaic.pth")
    return folder / "mosaic.pth"


def said(capsys: Captured) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_list_for_people(home: Path, capsys: Captured) -> None:
    assert run(["styles", "list"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("my-rain")]
    assert "Rain [steam]" in line
    assert line.rstrip().endswith("you")
    assert run(["styles"]) == 0
    assert "my-rain" in capsys.readouterr().out


def test_list_for_programs(home: Path, capsys: Captured) -> None:
    (home / "broken.safetensors").write_text("no")
    assert run(["styles", "list", "--json"]) == 0
    out, err = capsys.readouterr()
    listed = json.loads(out)
    (mine,) = [style for style in listed["styles"] if style["own"]]
    assert mine["name"] == "my-rain"
    assert mine["artist"] == "Turner"
    assert mine["net"] == asdict(TINY)
    assert mine["bank"] == str(home / "my-rain.safetensors")
    assert len(listed["notes"]) == 1
    assert err.count("broken.safetensors") == 1
    assert IDENTITY not in [style["name"] for style in listed["styles"]]


def test_show(home: Path, capsys: Captured) -> None:
    assert run(["styles", "show", "my-rain"]) == 0
    out = capsys.readouterr().out
    assert "Turner" in out
    assert "channels: 8" in out
    assert run(["styles", "show", "my-rain", "--json"]) == 0
    assert said(capsys)["year"] == "1844"


def test_show_of_a_style_that_is_not_there(home: Path, capsys: Captured) -> None:
    assert run(["styles", "show", "my-rian"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "videostyle: There is no style 'my-rian'. Did you mean my-rain? All styles: videostyle styles list\n"
    )


def test_add_use_and_remove(home: Path, tmp_path: Path, capsys: Captured) -> None:
    file = checkpoint(tmp_path)
    options = ["--name", "mosaic", "--artist", "Anon", "--rights", "CC0"]
    assert run(["styles", "add", str(file), *options, "--json"]) == 0
    assert said(capsys) == {"added": "mosaic", "path": str(home / "mosaic.safetensors")}
    assert Library().find("mosaic").card == StyleCard("mosaic", artist="Anon", rights="CC0")

    assert run(["styles", "add", str(file), *options]) == 2
    assert "--force" in capsys.readouterr().err
    assert run(["styles", "add", str(file), *options, "--force"]) == 0
    capsys.readouterr()

    assert run(["styles", "remove", "mosaic", "--json"]) == 0
    assert said(capsys)["removed"] == "mosaic"
    assert sorted(path.name for path in home.iterdir()) == ["my-rain.json", "my-rain.safetensors"]


def test_add_of_a_style_learned_elsewhere(home: Path, tmp_path: Path) -> None:
    bank = tiny_bank(IDENTITY, "hail", styles_seed=4)
    bank.with_cards((bank.cards[0], StyleCard("hail", "Hail", "Anon"))).save(tmp_path / "hail.safetensors")
    assert run(["styles", "add", str(tmp_path / "hail.safetensors"), "--name", "sleet", "--artist", "Me"]) == 0
    assert Library().find("sleet").card == StyleCard("sleet", "Hail", "Me")
    assert np.array_equal(StyleBank.load(home / "sleet.safetensors").styles, bank.styles)


def test_export_overwrites_no_card_of_another_file(home: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "notes.json").write_text("mine")
    command = ["styles", "export", "my-rain", str(tmp_path / "notes.safetensors")]
    assert run(command) == 2
    assert "notes.json exists already" in capsys.readouterr().err
    assert (tmp_path / "notes.json").read_text() == "mine"
    assert run([*command, "--force"]) == 0
    assert StyleBank.load(tmp_path / "notes.safetensors").names == (IDENTITY, "my-rain")


def test_add_of_a_bank_of_many(home: Path, tmp_path: Path, capsys: Captured) -> None:
    tiny_bank(IDENTITY, "hail", "fog").save(tmp_path / "weather.safetensors")
    assert run(["styles", "add", str(tmp_path / "weather.safetensors"), "--name", "sleet"]) == 2
    assert "holds 2 styles" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mosaic", b"not a checkpoint", "no weights that can be read safely"),
        ("Mosaic!", b"", "'Mosaic!' cannot name a style"),
        ("mosaic", None, "No such file"),
    ],
)
def test_add_of_what_is_none(
    home: Path, tmp_path: Path, capsys: Captured, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "file.pth").write_bytes(content)
    before = sorted(home.iterdir())
    assert run(["styles", "add", str(tmp_path / "file.pth"), "--name", name]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert sorted(home.iterdir()) == before


def test_names_that_are_taken_are_said_with_a_way_out(home: Path, tmp_path: Path, capsys: Captured) -> None:
    tiny_bank(IDENTITY, "hail", styles_seed=4).save(tmp_path / "hail.safetensors")
    assert run(["styles", "add", str(tmp_path / "hail.safetensors")]) == 0
    for name, told in {"my-rain": "videostyle styles remove my-rain", "identity": "is the photo itself"}.items():
        assert run(["styles", "rename", "hail", name]) == 2
        assert told in capsys.readouterr().err
    for file, told in {"none.pth": "No such file", "home": "a folder", "photo.png": "videostyle learn"}.items():
        (tmp_path / "photo.png").touch()
        (tmp_path / "home").mkdir(exist_ok=True)
        assert run(["styles", "add", str(tmp_path / file), "--name", "new"]) == 2
        assert told in capsys.readouterr().err
    assert run(["styles", "--json"]) == 0
    assert {style["name"] for style in said(capsys)["styles"]} >= {"hail", "my-rain"}


def test_sheet_of_one_style(home: Path, photo: Path, tmp_path: Path, capsys: Captured) -> None:
    output = tmp_path / "sheet.png"
    arguments = ["styles", "sheet", str(photo), str(output), "--style", "my-rain", "--device", "cpu", "--size", "40"]
    assert run([*arguments, "--json"]) == 0
    assert said(capsys) == {"output": str(output), "size": [12 + 2 * 52, 12 + 26 + 25 + 12], "styles": ["my-rain"]}
    assert load_picture(output).shape == (75, 116, 3)
    assert run(arguments) == 2
    assert "--force" in capsys.readouterr().err
    assert run([*arguments, "--force", "--columns", "1"]) == 0
    assert load_picture(output).shape == (12 + 2 * 63, 64, 3)


def test_sheet_paints_in_every_style_of_every_bank(tmp_path: Path, capsys: Captured) -> None:
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    tiny_bank(IDENTITY, "rain", "sun").save(shipped / "one.safetensors")
    library = Library(shipped, tmp_path / "own")
    library.add(tiny_transformer_bank("mosaic"))
    library.add(tiny_bank(IDENTITY, "hail"))
    body = tmp_path / "own" / "hail.safetensors"
    content = bytearray(body.read_bytes())
    content[-1] ^= 1
    body.write_bytes(content)
    picture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    look = Painting(None, 1.0, False, None, "auto", "fp32", "cpu")
    painted = dict(_paint_all(library, picture, look))
    assert list(painted) == ["rain", "sun", "mosaic"]
    assert "left out" in capsys.readouterr().err
    assert all(image.shape == (24, 32, 3) for image in painted.values())
    assert not np.array_equal(painted["rain"], painted["sun"])


def test_sheet_puts_pictures_in_rows() -> None:
    cells = [(f"style-{i}", np.full((20, 60, 3), 10 * i, np.uint8)) for i in range(5)]
    page = compose(cells, 2)
    assert page.shape == (12 + 3 * 58, 12 + 2 * 72, 3)
    for i in range(5):
        top, left = 12 + i // 2 * 58, 12 + i % 2 * 72
        assert (page[top : top + 20, left : left + 60] == 10 * i).all()
        label = page[top + 20 : top + 46, left : left + 60]
        assert label.min() < 120
        assert (page[:, left + 60 : left + 70] > 200).all(), "labels keep to their picture's width"
    assert compose(cells, 99).shape == (12 + 58, 12 + 5 * 72, 3)


def test_remove_of_what_is_not_there(home: Path, capsys: Captured) -> None:
    assert run(["styles", "remove", "snow-storm"]) == 2
    assert "There is no style 'snow-storm'" in capsys.readouterr().err
