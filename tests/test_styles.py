"""Mixes, banks and their files, and the library that finds them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.banks import tiny_bank, tiny_transformer_bank
from videostyle.errors import StyleError, UsageError
from videostyle.library import Library, own_folder, shipped_folder
from videostyle.styles import IDENTITY, StyleBank, StyleCard, StyleMix, check_name, parse_mix


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("starry-night", (("starry-night", 1.0),)),
        ("starry-night:0.2", (("starry-night", 1.0),)),
        (" starry-night : 3 , great-wave:1 ", (("starry-night", 0.75), ("great-wave", 0.25))),
        ("a,b", (("a", 0.5), ("b", 0.5))),
        ("a:1,b:0", (("a", 1.0), ("b", 0.0))),
    ],
)
def test_mix_is_parsed_and_normalised(text: str, parts: tuple[tuple[str, float], ...]) -> None:
    assert parse_mix(text).parts == parts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "lacks a name"),
        (",", "lacks a name"),
        (":1", "lacks a name"),
        ("a:1,", "not others"),
        ("a:0.5,b", "not others"),
        ("a:much", "'much' of style 'a' is no number"),
        ("a:", "'' of style 'a' is no number"),
        ("a:1:2", "'1:2' of style 'a' is no number"),
        ("a:-1", "-1 of style 'a'"),
        ("a:nan", "nan of style 'a'"),
        ("a:inf", "inf of style 'a'"),
        ("a:0,b:0", "sum to 0"),
        ("a:1e308,b:1e308", "sum to inf"),
        ("a:1,a:2", "appears twice"),
    ],
)
def test_mixes_that_make_no_sense(text: str, said: str) -> None:
    with pytest.raises(StyleError) as caught:
        parse_mix(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_mix_reads_as_it_is_written() -> None:
    assert str(parse_mix("a")) == "a"
    assert str(parse_mix("a:3,b:1")) == "a:0.75,b:0.25"
    assert parse_mix(str(parse_mix("a:3,b:1"))) == parse_mix("a:3,b:1")


@pytest.mark.parametrize("name", ["", "Starry", "a_b", "-a", "a-", "a--b", "a/b", "..", "é"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(StyleError, match="cannot name a style"):
        check_name(name)


def test_vector_is_the_row_of_a_lone_style() -> None:
    bank = tiny_bank(IDENTITY, "rain", "sun")
    assert np.array_equal(bank.vector(parse_mix("sun")), bank.styles[2])
    assert np.array_equal(bank.vector(parse_mix("sun"), 0.0), bank.styles[0])
    assert bank.vector(parse_mix("rain")).dtype == np.float32


def test_vector_blends_styles_and_identity() -> None:
    bank = tiny_bank(IDENTITY, "rain", "sun")
    expected = 0.4 * bank.styles[0] + 0.6 * (0.75 * bank.styles[1] + 0.25 * bank.styles[2])
    np.testing.assert_allclose(bank.vector(parse_mix("rain:3,sun:1"), 0.6), expected, atol=1e-6)


def test_vector_without_identity_is_that_of_full_strength() -> None:
    bank = tiny_transformer_bank("mosaic")
    assert not bank.has_identity
    assert np.array_equal(bank.vector(parse_mix("mosaic"), 0.3), bank.styles[0])


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_strength_out_of_range(strength: float) -> None:
    with pytest.raises(UsageError, match="out of range"):
        tiny_bank().vector(parse_mix("rain"), strength)


def test_vector_of_a_style_the_bank_lacks() -> None:
    with pytest.raises(StyleError, match=r"no style 'rian'\. Did you mean rain"):
        tiny_bank().vector(parse_mix("rian"))


def test_bank_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    bank = tiny_bank(IDENTITY, "rain")
    bank = bank.with_cards((bank.cards[0], StyleCard("rain", "Rain", "Anon", "1890", "CC0", {"style": 0.5})))
    bank.save(tmp_path / "b.safetensors")
    loaded = StyleBank.load(tmp_path / "b.safetensors")
    assert loaded.config == bank.config
    assert loaded.cards == bank.cards
    assert loaded.body_hash == bank.body_hash
    assert np.array_equal(loaded.styles, bank.styles)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.json", "b.safetensors"]


def _saved(folder: Path) -> Path:
    path = folder / "b.safetensors"
    tiny_bank().save(path)
    return path


def test_bank_and_card_that_do_not_belong_together(tmp_path: Path) -> None:
    path = _saved(tmp_path)
    tiny_bank(styles_seed=1).save(tmp_path / "other.safetensors")
    (tmp_path / "other.safetensors").replace(path)
    with pytest.raises(StyleError, match="not the file that its card describes"):
        StyleBank.load(path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"styles": [{"nome": "x"}]}', '{"styles": 1}'])
def test_damaged_cards(tmp_path: Path, text: str) -> None:
    path = _saved(tmp_path)
    path.with_suffix(".json").write_text(text)
    with pytest.raises(StyleError, match=r"b\.json is damaged"):
        StyleBank.load(path)


def test_files_that_are_no_bank(tmp_path: Path) -> None:
    path = _saved(tmp_path)
    whole = path.read_bytes()
    for content in (b"", b"hello", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(StyleError, match="cannot be read as a style bank"):
            StyleBank.load(path)
    with pytest.raises(StyleError, match="cannot be read as a style bank"):
        StyleBank.load(tmp_path / "missing.safetensors")


def _library(folder: Path) -> Library:
    """Shipped: bank "one" with rain and sun, bank "two" of another body with snow. Own: nothing yet."""
    shipped = folder / "shipped"
    shipped.mkdir()
    tiny_bank(IDENTITY, "rain", "sun").save(shipped / "one.safetensors")
    tiny_bank(IDENTITY, "snow", seed=7).save(shipped / "two.safetensors")
    return Library(shipped, folder / "own")


def test_library_lists_and_finds(tmp_path: Path) -> None:
    library = _library(tmp_path)
    assert [entry.card.name for entry in library.entries()] == ["rain", "sun", "snow"]
    assert library.find("snow").shelved.path.name == "two.safetensors"
    assert library.bank(parse_mix("rain:1,sun:2")).names == (IDENTITY, "rain", "sun")
    assert library.bank(parse_mix("identity:1,snow:2")).names == (IDENTITY, "snow")
    assert library.bank(parse_mix("identity")).names == (IDENTITY, "rain", "sun")
    assert library.notes == []


def test_library_names_near_matches(tmp_path: Path) -> None:
    with pytest.raises(StyleError, match=r"Did you mean snow.*videostyle styles list"):
        _library(tmp_path).bank(parse_mix("Snwo"))


def test_a_picture_is_no_style_yet(tmp_path: Path) -> None:
    with pytest.raises(StyleError, match=r"'my\.jpg' is a file, not a style: videostyle learn"):
        _library(tmp_path).bank(parse_mix("my.jpg"))


def test_styles_of_different_nets_do_not_mix(tmp_path: Path) -> None:
    with pytest.raises(StyleError, match=r"rain and snow belong to different nets .*one.*two"):
        _library(tmp_path).bank(parse_mix("rain,snow"))


def test_styles_learned_on_a_shipped_body_mix_with_it(tmp_path: Path) -> None:
    library = _library(tmp_path)
    library.add(tiny_bank(IDENTITY, "hail", styles_seed=3))
    bank = library.bank(parse_mix("rain,hail"))
    assert bank.names == (IDENTITY, "rain", "sun", "hail")
    assert np.array_equal(bank.styles[3], library.bank(parse_mix("hail")).styles[1])


def test_a_broken_file_is_noted_and_passed_over(tmp_path: Path) -> None:
    library = _library(tmp_path)
    library.add(tiny_transformer_bank("mosaic"))
    (tmp_path / "own" / "broken.safetensors").write_text("no")
    library = Library(tmp_path / "shipped", tmp_path / "own")
    assert [entry.card.name for entry in library.entries()] == ["rain", "sun", "snow", "mosaic"]
    assert len(library.notes) == 1
    assert "broken.safetensors" in library.notes[0]


def test_own_styles_are_added_and_removed(tmp_path: Path) -> None:
    library = _library(tmp_path)
    path = library.add(tiny_transformer_bank("mosaic"))
    assert path == tmp_path / "own" / "mosaic.safetensors"
    assert library.find("mosaic").shelved.own
    with pytest.raises(StyleError, match="--force"):
        library.add(tiny_transformer_bank("mosaic", seed=1))
    assert library.add(tiny_transformer_bank("mosaic", seed=1), force=True) == path
    assert sorted(file.name for file in (tmp_path / "own").iterdir()) == ["mosaic.json", "mosaic.safetensors"]
    assert library.bank(parse_mix("mosaic")).body_hash == tiny_transformer_bank(seed=1).body_hash
    library.remove("mosaic")
    assert list((tmp_path / "own").iterdir()) == []
    with pytest.raises(StyleError, match="no style 'mosaic'"):
        library.remove("mosaic")


def test_shipped_styles_stay(tmp_path: Path) -> None:
    library = _library(tmp_path)
    for name in ("rain", IDENTITY):
        with pytest.raises(StyleError, match="shipped with videostyle"):
            library.remove(name)
    with pytest.raises(StyleError, match="choose another name"):
        library.add(tiny_bank(IDENTITY, "hail", "rain"), force=True)
    assert not (tmp_path / "own").exists()


def test_removing_one_of_several_keeps_the_others(tmp_path: Path) -> None:
    library = _library(tmp_path)
    library.add(tiny_bank(IDENTITY, "hail", "fog"))
    rows = library.bank(parse_mix("fog")).styles
    library.remove("hail")
    bank = library.bank(parse_mix("fog"))
    assert bank.names == (IDENTITY, "fog")
    assert np.array_equal(bank.styles, rows[[0, 2]])


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("a file")
    with pytest.raises(StyleError, match="cannot be written"):
        Library(tmp_path, tmp_path / "own").add(tiny_bank(IDENTITY, "hail"))


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOSTYLE_HOME", str(tmp_path))
    assert own_folder() == tmp_path / "styles"
    monkeypatch.delenv("VIDEOSTYLE_HOME")
    assert own_folder().name == "styles"
    assert shipped_folder().name == "models"


def test_reading_banks_needs_no_torch(tmp_path: Path) -> None:
    path = _saved(tmp_path)
    code = (
        "import json, sys; from pathlib import Path; from videostyle.library import Library;"
        "from videostyle.styles import parse_mix; import videostyle.engines, videostyle.stylizer;"
        f"bank = Library(Path({str(path.parent)!r}), Path('none')).bank(parse_mix('rain'));"
        "print(json.dumps([bank.vector(parse_mix('rain')).shape[0], 'torch' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [tiny_bank().styles.shape[1], False]


def test_mix_made_in_code_is_checked_too() -> None:
    assert StyleMix((("a", 2.0), ("b", 2.0))).parts == (("a", 0.5), ("b", 0.5))
    with pytest.raises(StyleError, match="appears twice"):
        StyleMix((("a", 1.0), ("a", 1.0)))
