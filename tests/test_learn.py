"""Learning one style on the body of a bank, with tiny nets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.banks import pictures, tiny_bank, tiny_transformer_bank, with_ranges
from tests.tiny_vgg import tiny_weights
from videostyle import learn
from videostyle.errors import SourceError, UsageError
from videostyle.learn import Learner, LearnOptions, LearnProgress, picture_of
from videostyle.perceptual import PerceptualNet
from videostyle.pictures import decode_jpeg, encode_jpeg
from videostyle.styles import IDENTITY, StyleBank, StyleCard


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(learn, "POOL", 8)
    monkeypatch.setattr(learn, "CROP", 64)
    monkeypatch.setattr(learn, "CHECK_EVERY", 0.0)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def learner(bank: StyleBank | None = None, count: int = 1, photos: Path | None = None, **options: Any) -> Learner:
    net = PerceptualNet(tiny_weights())
    images = list(pictures(2, 64, 96, seed=5))[:count]
    options = {"steps": 25, "seconds": 600.0, "rate": 0.05} | options
    return Learner(images, StyleCard("mine"), bank or tiny_bank(), LearnOptions(**options), net, photos)


def test_only_the_vector_is_learned_and_it_gets_better() -> None:
    bank, told = tiny_bank(), list[LearnProgress]()
    run = learner(bank)
    begun = dict(run.style.recipe["losses"])
    style = run.run(told.append)
    assert style.body == bank.body_hash
    assert style.vector.shape == bank.styles[0].shape
    assert style.recipe["losses"]["paint"] < 0.9 * begun["paint"]
    assert [step.step for step in told] == list(range(1, 26))
    assert told[-1].done == 1
    assert told[-1].seconds_left == 0
    assert [step.done for step in told] == sorted(step.done for step in told)
    bests = [step.vector for step in told if step.vector is not None]
    assert np.array_equal(bests[-1], style.vector)
    assert [step.style for step in told][-1] == pytest.approx(style.recipe["losses"]["style"], abs=1e-3)
    joined = style.on(bank)
    assert np.array_equal(joined.styles[:3], bank.styles)


def test_it_starts_from_the_nearest_style() -> None:
    bank = tiny_bank(IDENTITY, "rain", "sun", "snow")
    run = learner(bank)
    measured = {name: run._measure(torch.from_numpy(row)) for name, row in zip(bank.names, bank.styles, strict=True)}
    del measured[IDENTITY]
    assert run.start == min(measured, key=lambda name: measured[name]["paint"])
    assert np.array_equal(run.style.vector, bank.styles[bank.names.index(run.start)])


def test_numbers_move_as_far_as_they_differ_in_known_styles() -> None:
    bank = tiny_bank(IDENTITY, "rain", "sun", "snow", "dew")
    styles = bank.styles.copy()
    styles[1:, :5] = 1.5
    styles[1:, 5:10] = 1.5 + 4 * (styles[1:, 5:10] - 1.5)
    bank = replace(bank, styles=styles)
    run = learner(bank, steps=1)
    run.run()
    moved = np.abs(run.present - styles[bank.names.index(run.start)])
    assert 0 < 4 * moved[:5].mean() < moved[10:].mean()
    assert moved[5:10].mean() > 2 * moved[10:].mean()


def test_the_best_so_far_is_there_at_any_time() -> None:
    run = learner()

    def interrupt(progress: LearnProgress) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.run(interrupt)
    kept = run.style
    assert kept.recipe["steps"] == 3
    assert kept.recipe["losses"]["paint"] <= learner().style.recipe["losses"]["paint"]


def test_a_worse_vector_is_not_taken() -> None:
    run = learner(steps=4)
    before = run.style
    run._best = {"style": 0.0, "content": 0.0, "paint": 0.0}  # nothing is better than that
    assert np.array_equal(run.run().vector, before.vector)


def test_time_ends_it_before_the_steps_do() -> None:
    told: list[LearnProgress] = []
    learner(seconds=0.001, steps=1000).run(told.append)
    assert len(told) == 1
    assert told[0].done == 1


def test_the_same_seed_learns_the_same() -> None:
    assert np.array_equal(learner(steps=3).run().vector, learner(steps=3).run().vector)


def test_several_pictures_are_the_mean_of_their_grams() -> None:
    grams = [learner(count=count)._trainer.grams["relu2_2"] for count in (1, 2)]
    other = list(pictures(2, 64, 96, seed=5))[1:]
    second = Learner(other, StyleCard("b"), tiny_bank(), LearnOptions(), PerceptualNet(tiny_weights()))
    torch.testing.assert_close(grams[1], (grams[0] + second._trainer.grams["relu2_2"]) / 2)


def test_photos_take_the_place_of_what_is_made_up(tmp_path: Path) -> None:
    for number, image in enumerate(pictures(3, 300, 320)):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    assert learner(photos=tmp_path, steps=1).run().recipe["learned_on"] == "3 photos"
    with pytest.raises(UsageError, match="no photos in"):
        learner(photos=tmp_path / "nowhere")


def test_strokes_scale_the_picture_and_gentle_keeps_the_photo() -> None:
    sides = [learner(stroke=stroke)._trainer.options.picture_side for stroke in ("small", "medium", "large")]
    assert sides == sorted(set(sides))
    assert learner(gentle=True)._trainer.options.style_weight < learner()._trainer.options.style_weight
    with pytest.raises(UsageError, match="stroke must be one of small, medium, large"):
        LearnOptions(stroke="huge")
    with pytest.raises(UsageError, match="no time to learn in"):
        LearnOptions(seconds=0)


def test_what_int8_needs_to_know_is_measured() -> None:
    bank = with_ranges(tiny_bank())
    style = learner(bank, steps=2).run()
    assert set(style.ranges) == set(bank.ranges)
    assert all(low <= high for low, high in style.ranges.values())
    assert style.ranges["out"][1] > 0
    assert learner(steps=2).run().ranges == {}


def test_banks_that_no_style_can_be_learned_on() -> None:
    for bank in (tiny_bank(IDENTITY), tiny_transformer_bank()):
        with pytest.raises(UsageError, match="no styles that a new one could start from"):
            learner(bank)


def test_the_pictures_are_kept() -> None:
    run = learner(count=2, steps=1)
    kept = [decode_jpeg(file) for file in run.run().pictures]
    assert [image.shape for image in kept] == [(64, 96, 3)] * 2
    assert np.abs(kept[1].astype(int) - run.pictures[1]).mean() < 6


def saved(folder: Path, name: str, image: Image.Image, **options: Any) -> Path:
    image.save(folder / name, **options)
    return folder / name


def test_pictures_of_all_kinds(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8))
    clear = noise.copy()
    clear.putalpha(0)
    kinds = {
        "cmyk.jpg": saved(tmp_path, "cmyk.jpg", noise.convert("CMYK")),
        "grey.png": saved(tmp_path, "grey.png", noise.convert("L")),
        "moving.gif": saved(tmp_path, "moving.gif", noise, save_all=True, append_images=[noise.rotate(90)] * 3),
        "clear.png": saved(tmp_path, "clear.png", clear),
        "flat.png": saved(tmp_path, "flat.png", Image.new("RGB", (80, 60), (200, 30, 40))),
    }
    images = {name: picture_of(path) for name, path in kinds.items()}
    assert {image.shape for image in images.values()} == {(60, 80, 3)}
    assert (images["clear.png"] == 255).all(), "what is transparent is paper"
    net, options = PerceptualNet(tiny_weights()), LearnOptions(steps=2)
    for name in ("flat.png", "clear.png", "cmyk.jpg"):
        style = Learner([images[name]], StyleCard("mine"), tiny_bank(), options, net).run()
        assert np.isfinite(style.vector).all()
        assert np.isfinite(style.recipe["losses"]["style"])


def test_a_large_picture_is_brought_down(tmp_path: Path) -> None:
    path = saved(tmp_path, "large.jpg", Image.new("RGB", (12000, 8400), (200, 30, 40)))
    assert picture_of(path).shape == (538, 768, 3)


def test_pictures_that_nothing_can_be_learned_from(tmp_path: Path) -> None:
    dot = saved(tmp_path, "dot.png", Image.new("RGB", (1, 1)))
    with pytest.raises(UsageError, match=r"dot.png has 1x1 pixels, .* give a picture of 32 or more a side"):
        picture_of(dot)
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(SourceError, match=r"notes.txt is not a picture"):
        picture_of(tmp_path / "notes.txt")
    with pytest.raises(SourceError, match="no such file"):
        picture_of(tmp_path / "missing.jpg")
    with pytest.raises(SourceError, match="is damaged"):
        decode_jpeg(encode_jpeg(pictures(1, 40, 40)[0])[:200])
