"""Learned styles: their files, and their place in the library beside the bank they fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.banks import tiny_bank, tiny_transformer_bank, with_ranges
from videostyle.doctor import Check, software
from videostyle.errors import StyleError
from videostyle.learned import LearnedStyle, load_style_file
from videostyle.library import Library
from videostyle.styles import IDENTITY, StyleBank, StyleCard, parse_mix, read_label


def learned(bank: StyleBank, name: str = "mine", fill: float = 0.5) -> LearnedStyle:
    vector = np.full(bank.styles.shape[1], fill, np.float32)
    recipe = {"options": {"stroke": "large"}}
    return LearnedStyle(StyleCard(name, "Mine"), vector, bank.body_hash, bank.config, {}, recipe, (b"one", b"two"))


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Shipped: "one" with rain and sun, "two" of another body of the same size with snow. Own: mine, learned on one."""
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    tiny_bank(IDENTITY, "rain", "sun").save(shipped / "one.safetensors")
    tiny_bank(IDENTITY, "snow", seed=7).save(shipped / "two.safetensors")
    library = Library(shipped, tmp_path / "own")
    library.add(learned(StyleBank.load(shipped / "one.safetensors")))
    return library


def test_a_style_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    style = replace(learned(tiny_bank()), ranges={"stem": (-1.0, 2.0)})
    style.save(tmp_path / "mine.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.safetensors"]
    assert (tmp_path / "mine.safetensors").stat().st_size < 4000
    back = LearnedStyle.load(tmp_path / "mine.safetensors")
    assert np.array_equal(back.vector, style.vector)
    assert (back.card, back.body, back.config) == (style.card, style.body, style.config)
    assert (back.ranges, back.recipe, back.pictures) == (style.ranges, style.recipe, style.pictures)


def test_twelve_pictures_keep_their_order(tmp_path: Path) -> None:
    files = tuple(bytes([number]) for number in range(12))
    replace(learned(tiny_bank()), pictures=files).save(tmp_path / "mine.safetensors")
    assert LearnedStyle.load(tmp_path / "mine.safetensors").pictures == files


def test_files_that_are_no_learned_style(tmp_path: Path) -> None:
    tiny_bank().save(tmp_path / "bank.safetensors")
    with pytest.raises(StyleError, match="is a whole bank"):
        LearnedStyle.load(tmp_path / "bank.safetensors")
    path = tmp_path / "mine.safetensors"
    learned(tiny_bank()).save(path)
    with pytest.raises(StyleError, match="without a net of its own"):
        StyleBank.load(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StyleError, match="cannot be read"):
        load_style_file(path)
    with pytest.raises(StyleError, match="cannot be read"):
        load_style_file(tmp_path / "missing.safetensors")


def test_a_style_joins_its_bank_and_no_other() -> None:
    bank = with_ranges(tiny_bank())
    name = next(iter(bank.ranges))
    low, high = bank.ranges[name]
    style = replace(learned(bank), ranges={name: (low - 1, high - 0.01)})
    whole = style.on(bank)
    assert whole.names == (IDENTITY, "rain", "sun", "mine")
    assert np.array_equal(whole.vector(parse_mix("mine")), style.vector)
    assert whole.ranges == {**bank.ranges, name: (low - 1, high)}
    assert replace(style, card=StyleCard("rain")).on(bank).names == (IDENTITY, "sun", "rain")
    with pytest.raises(StyleError, match="learned on another net"):
        style.on(tiny_bank(seed=7))


def test_the_library_paints_it_by_the_net_it_fits(library: Library, tmp_path: Path) -> None:
    assert [entry.card.name for entry in library.entries()] == ["rain", "sun", "snow", "mine"]
    assert library.bank(parse_mix("mine")).names == (IDENTITY, "rain", "sun", "mine")
    mixed = library.bank(parse_mix("sun:1,mine:3"))
    expected = 0.25 * mixed.styles[2] + 0.75 * 0.5
    assert np.allclose(mixed.vector(parse_mix("sun:1,mine:3")), expected)
    with pytest.raises(StyleError, match="snow and mine belong to different nets"):
        library.bank(parse_mix("snow,mine"))
    library.add(learned(StyleBank.load(tmp_path / "shipped/one.safetensors"), "yours", 0.25))
    assert library.bank(parse_mix("mine,yours")).names == (IDENTITY, "rain", "sun", "mine", "yours")
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == ["mine.safetensors", "yours.safetensors"]


def test_a_style_whose_net_is_gone_says_what_to_do(library: Library, tmp_path: Path) -> None:
    assert not any(map(library.lacks_body, library.entries()))
    tiny_bank(IDENTITY, "rain", "sun", seed=1).save(tmp_path / "shipped/one.safetensors")
    library = Library(tmp_path / "shipped", tmp_path / "own")
    assert [entry.card.name for entry in library.entries() if library.lacks_body(entry)] == ["mine"]
    assert library.bank(parse_mix("rain")).names == (IDENTITY, "rain", "sun")
    with pytest.raises(StyleError, match="videostyle learn --again mine"):
        library.bank(parse_mix("mine"))


def test_removing_and_replacing(library: Library, tmp_path: Path) -> None:
    body = StyleBank.load(tmp_path / "shipped/one.safetensors")
    with pytest.raises(StyleError, match="--force"):
        library.add(learned(body, fill=0.1))
    assert library.add(learned(body, fill=0.1), force=True) == tmp_path / "own/mine.safetensors"
    assert library.bank(parse_mix("mine")).styles[3, 0] == np.float32(0.1)
    library.add(tiny_transformer_bank("mine"), force=True)
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == ["mine.json", "mine.safetensors"]
    library.add(learned(body), force=True)
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["mine.safetensors"]
    library.remove("mine")
    assert list((tmp_path / "own").iterdir()) == []


def test_cards_change_and_names_with_them(library: Library, tmp_path: Path) -> None:
    path = library.change("mine", StyleCard("yours", "Other", rights="CC0"))
    assert path == tmp_path / "own/yours.safetensors"
    assert library.find("yours").card == StyleCard("yours", "Other", rights="CC0")
    assert [file.name for file in (tmp_path / "own").iterdir()] == ["yours.safetensors"]
    assert read_label(path).recipe == {"options": {"stroke": "large"}}
    library.change("yours", StyleCard("yours", "Another"))
    assert library.find("yours").card.title == "Another"
    with pytest.raises(StyleError, match="shipped with videostyle"):
        library.change("rain", StyleCard("drizzle"))
    with pytest.raises(StyleError, match="shipped with videostyle"):
        library.change("yours", StyleCard("rain"))
    with pytest.raises(StyleError, match="cannot name a style"):
        library.change("yours", StyleCard("No good"))
    library.add(tiny_bank(IDENTITY, "hail", "fog", seed=3))
    library.change("fog", StyleCard("mist"))
    assert {entry.card.name for entry in library.entries() if entry.shelved.own} == {"yours", "hail", "mist"}
    assert library.bank(parse_mix("mist,hail")).names == (IDENTITY, "mist", "hail")


def test_taking_a_style_out_of_a_bank(library: Library) -> None:
    taken = library.take("sun")
    assert isinstance(taken, StyleBank)
    assert taken.names == (IDENTITY, "sun")
    assert np.array_equal(taken.styles, library.bank(parse_mix("sun")).styles[[0, 2]])
    assert isinstance(library.take("mine"), LearnedStyle)


def test_the_doctor_and_export_take_it_for_what_it_is(library: Library, tmp_path: Path) -> None:
    assert software.styles(library) == Check("styles", "ok", "4 styles, 1 of them yours")
    assert library.load(tmp_path / "own/mine.safetensors").names == (IDENTITY, "rain", "sun", "mine")
    tiny_bank(IDENTITY, "rain", "sun", seed=1).save(tmp_path / "shipped/one.safetensors")
    found = software.styles(Library(tmp_path / "shipped", tmp_path / "own"))
    assert found.status == "warn"
    assert "videostyle learn --again mine" in found.found
