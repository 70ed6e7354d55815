from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.banks import tiny_bank
from tests.tiny_vgg import tiny_vgg_file, tiny_weights
from videostyle.cli import run
from videostyle.errors import StyleError, TrainingError, UsageError
from videostyle.perceptual import PerceptualNet
from videostyle.styles import NetConfig, StyleBank, StyleCard
from videostyle.train import Trainer
from videostyle.train_data import Crops, picture_grams
from videostyle.train_options import StyleSpec, TrainOptions, options_from

NET = NetConfig(channels=8, blocks=1, head=4)
OPTIONS: dict[str, Any] = {
    "batch": 2,
    "crop": 64,
    "photo_side": (64, 80),
    "picture_side": 64,
    "precision": "fp32",
    "warmup": 2,
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Nets this small only wait for a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for folder in ("photos", "pictures"):
        (tmp_path / folder).mkdir()
        for i in range(3):
            noise = Image.fromarray(rng.integers(0, 255, (6, 8, 3), np.uint8))
            noise.resize((96, 72), Image.Resampling.BICUBIC).save(tmp_path / folder / f"{'abc'[i]}.png")
    return tmp_path


def trainer(data: Path, folder: str = "work", **options: Any) -> Trainer:
    base, start, teacher = (options.pop(name, None) for name in ("base", "start", "teacher"))
    names = options.pop("names", "ab")
    specs = [StyleSpec(data / f"pictures/{name}.png", StyleCard(name)) for name in names]
    options = {**OPTIONS, "steps": 6, **options}
    net = PerceptualNet(tiny_weights())
    return Trainer(
        specs, data / "photos", data / folder, TrainOptions(**options), NET, base, net, start=start, teacher=teacher
    )


def test_training_lowers_the_loss_and_leaves_a_bank_a_log_and_previews(data: Path) -> None:
    run = trainer(data, steps=75, preview_every=30, rate=5e-3)
    bank = run.run()
    assert bank.names == ("identity", "a", "b")
    assert bank.styles.shape == (3, run.net.style_size)
    with open(data / "work/log.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [25, 50, 75]
    assert float(rows[-1]["loss"]) < 0.8 * float(rows[0]["loss"])
    assert sorted(p.name for p in (data / "work").glob("*.png")) == ["preview-000030.png", "preview-000060.png"]
    bank.save(data / "bank.safetensors")
    assert StyleBank.load(data / "bank.safetensors").recipe["steps"] == 75


def test_a_killed_run_goes_on_to_the_same_end(data: Path) -> None:
    whole = trainer(data, "whole").run()
    first = trainer(data, "parts")

    class Killed(Exception):
        pass

    def kill(progress: Any) -> None:
        if progress.step == 3:
            raise Killed

    with pytest.raises(Killed):
        first.run(kill)
    second = trainer(data, "parts")
    assert second.step == 3
    parts = second.run()
    np.testing.assert_array_equal(parts.styles, whole.styles)
    for name, value in whole.body.items():
        np.testing.assert_array_equal(parts.body[name], value)


def test_paintings_learn_to_hold_still(data: Path) -> None:
    def change(**options: Any) -> float:
        run = trainer(data, str(options), steps=60, rate=5e-3, identity_share=0.0, **options)
        run.run()
        return run.recent["temporal"]

    calm = change(temporal_weight=300.0, feature_weight=0.0)
    assert calm < 0.7 * change(temporal_weight=1e-6, feature_weight=0.0)


def test_without_the_weights_nothing_is_painted_twice(data: Path) -> None:
    found = trainer(data, temporal_weight=0.0, feature_weight=0.0).update(torch.rand(2, 3, 64, 64))
    assert "temporal" not in found
    assert "feature" not in found
    assert {"temporal", "feature"} <= set(trainer(data, "steady").update(torch.rand(2, 3, 64, 64)))


def test_a_student_copies_its_teacher(data: Path) -> None:
    teacher = trainer(data, "teacher", steps=40, rate=5e-3).run()
    options = {"steps": 80, "rate": 5e-3, "identity_share": 0.0, "style_weight": 0.0, "content_weight": 0.0}

    def distance(**more: Any) -> float:
        run = trainer(data, str(more), teacher=teacher, **options, **more)
        run.run()
        return run.recent["output"]

    assert distance(output_weight=50.0) < 0.6 * distance(output_weight=0.0, match_weight=0.0)
    student = trainer(data, "student", teacher=teacher, steps=1).run()
    assert student.recipe["teacher"] == teacher.body_hash
    with pytest.raises(UsageError, match="the teacher has no style c; it has identity, a, b"):
        trainer(data, "other", teacher=teacher, names="bc")


def test_nan_stops_the_run_and_keeps_the_last_good_weights(data: Path) -> None:
    run = trainer(data)

    def poison(progress: Any) -> None:
        if progress.step == 2:
            run.grams["relu1_2"].fill_(float("nan"))

    with pytest.raises(TrainingError, match="step 2: the loss is no finite number"):
        run.run(poison)
    state = torch.load(run.checkpoint, weights_only=True)
    assert state["step"] == 2
    assert all(torch.isfinite(value).all() for value in state["net"].values())


def test_extending_a_bank_changes_neither_its_body_nor_its_styles(data: Path) -> None:
    base = trainer(data, "base").run()
    longer = trainer(data, "longer", base=base, names="c").run()
    assert longer.names == ("identity", "a", "b", "c")
    assert longer.body_hash == base.body_hash
    np.testing.assert_array_equal(longer.styles[:3], base.styles)
    assert np.abs(longer.styles[3] - base.styles[1:].mean(0)).max() > 1e-4
    assert longer.ranges == {}


def test_what_an_extended_bank_needs_in_int8_grows_with_it(data: Path) -> None:
    base = trainer(data, "base").run()
    before = replace(base, ranges={"stem": (0.0, 1e-3), "up": (-1e6, 1e6)})
    ranges = trainer(data, "longer", base=before, names="c").run().ranges
    assert ranges["stem"][1] > 0.1
    assert ranges["up"] == (-1e6, 1e6)


def test_a_run_can_begin_with_the_weights_of_a_bank(data: Path) -> None:
    first = trainer(data, "first").run()
    second = trainer(data, "second", names="bc", start=first)
    body = second.net.state_dict()
    for name, value in first.body.items():
        np.testing.assert_array_equal(body[name].numpy(), value)
    rows = second.styles.detach().numpy()
    np.testing.assert_array_equal(rows[0], first.styles[0])
    np.testing.assert_array_equal(rows[1], first.styles[2])
    np.testing.assert_array_equal(rows[2], second.net.neutral(1)[0].numpy())
    bank = second.run()
    assert bank.body_hash != first.body_hash
    assert bank.recipe["start"] == first.recipe
    with pytest.raises(UsageError, match="leave --start out"):
        trainer(data, "third", names="c", base=first, start=first)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_checkpointing_takes_the_same_step(data: Path, precision: str) -> None:
    losses = [
        trainer(data, f"work{checkpointing}", precision=precision, checkpointing=checkpointing).update(
            torch.full((2, 3, 64, 64), 0.35)
        )["loss"]
        for checkpointing in (False, True)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_every_style_comes_up_equally_often(data: Path) -> None:
    run = trainer(data, names="abc", identity_share=0.0, steps=30)
    drawn = []
    for run.step in range(30):
        drawn += run.draw()[0].tolist()
    assert sorted(drawn) == sorted([0, 1, 2] * 20)


def test_a_style_comes_up_as_often_as_its_share_says(data: Path) -> None:
    run = trainer(data, names="abc", identity_share=0.0, steps=30)
    run.specs = [replace(spec, share=share) for spec, share in zip(run.specs, (3, 1, 2), strict=True)]
    drawn = []
    for run.step in range(30):
        drawn += run.draw()[0].tolist()
    assert sorted(drawn) == [0] * 30 + [1] * 10 + [2] * 20
    with pytest.raises(UsageError, match="share must be at least 1"):
        replace(run.specs[0], share=0)


def test_the_identity_has_its_share(data: Path) -> None:
    run = trainer(data, identity_share=0.25, steps=400)
    drawn = []
    for run.step in range(400):
        drawn += run.draw()[0].tolist()
    assert drawn.count(-1) / len(drawn) == pytest.approx(0.25, abs=0.05)


def test_a_run_ends_when_its_minutes_are_over(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trainer(data, steps=1000, minutes=1.0)
    clock = iter(range(0, 100_000, 10))
    monkeypatch.setattr("videostyle.train.time.perf_counter", lambda: float(next(clock)))
    rates = []
    run.run(lambda progress: rates.append(run.optimizer.param_groups[0]["lr"]))
    assert run.step == 6
    assert rates[-1] < 0.15 * max(rates), "the rate falls with the time"
    again = trainer(data, steps=1000, minutes=1.0)
    assert again.done == 1, "time is remembered"


def test_crops_depend_on_seed_and_number_alone(data: Path) -> None:
    crops = Crops(data / "photos", TrainOptions(**OPTIONS))
    assert crops.batch(3).shape == (2, 64, 64, 3)
    np.testing.assert_array_equal(crops.batch(3), Crops(data / "photos", TrainOptions(**OPTIONS)).batch(3))
    assert (crops.batch(3) != crops.batch(4)).any()


def test_the_shipped_scenes_take_the_place_of_photos() -> None:
    crops = Crops(None, TrainOptions(**OPTIONS))
    assert len(crops.paths) == 64
    # Photos of webcams, people and landscapes have means of 112 and contrasts of 51, apart by 38 and 15.
    seen = np.stack([crops[number].mean(-1) for number in range(64)])
    means, contrasts = seen.mean((1, 2)), seen.std((1, 2))
    assert 90 < means.mean() < 140
    assert means.std() > 30
    assert contrasts.std() > 12


def test_augmented_pictures_differ_and_the_first_is_plain(data: Path) -> None:
    net = PerceptualNet(tiny_weights())
    plain = picture_grams(data / "pictures/a.png", net, TrainOptions(**OPTIONS))
    varied = picture_grams(data / "pictures/a.png", net, TrainOptions(**OPTIONS, augment=3))
    assert varied["relu2_2"].shape == (3, 6, 6)
    torch.testing.assert_close(varied["relu2_2"][0], plain["relu2_2"][0])
    assert (varied["relu2_2"][1] - varied["relu2_2"][2]).abs().max() > 1e-4


def test_bad_requests(data: Path) -> None:
    requests: dict[str, dict[str, Any]] = {
        "fp16 training needs CUDA": {"precision": "fp16"},
        "precision must be": {"precision": "int4"},
        "steps must be at least 1": {"steps": 0},
        "crop 128 must": {"crop": 128},
        "nothing to learn": {"names": ""},
        "two styles called a:": {"names": "aa"},
        "two styles called rain:": {"names": ["rain"], "base": tiny_bank()},
    }
    for message, values in requests.items():
        with pytest.raises(UsageError, match=message):
            trainer(data, **values)
    with pytest.raises(StyleError, match="'A b' cannot name a style"):
        trainer(data, names=["A b"])
    with pytest.raises(UsageError, match="no training option 'stepps'"):
        options_from({"stepps": 1})
    with pytest.raises(UsageError, match="no photos in"):
        Crops(data / "nowhere", TrainOptions())
    trainer(data).save()
    with pytest.raises(TrainingError, match="use another --work folder"):
        trainer(data, names="bc")


def test_the_command_trains_resumes_and_extends(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = data / "bank.toml"
    config.write_text(
        "[net]\nchannels = 8\nblocks = 1\nhead = 4\n[options]\nsteps = 3\nbatch = 2\ncrop = 64\nphoto_side = [64, 80]\n"
        'picture_side = 64\nprecision = "fp32"\n[[style]]\npicture = "a.png"\ntitle = "First"\n'
    )
    out, common = data / "bank.safetensors", ["--photos", str(data / "photos"), "--pictures", str(data / "pictures")]
    common += ["--perceptual", str(tiny_vgg_file(data)), "--device", "cpu", "--json"]
    common += ["--practice", str(data / "photos")]
    assert run(["train", str(config), *common, "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["styles"] == ["identity", "a"], "what is practised on is left out"
    assert "learning 1 styles and practising 3 more" in said.err
    assert StyleBank.load(out).cards[1].title == "First"
    assert run(["train", str(config), *common, "--out", str(out)]) == 2
    assert "--force" in capsys.readouterr().err
    assert run(["train", str(config), *common, "--out", str(out), "--force", "--steps", "4"]) == 0
    said = capsys.readouterr()
    assert "going on from step 3" in said.err
    assert json.loads(said.out)["steps"] == 4
    more = data / "more.toml"
    more.write_text(config.read_text().replace('"a.png"', '"b.png"'))
    longer = data / "longer.safetensors"
    assert run(["train", str(more), *common, "--out", str(longer), "--extend", str(out)]) == 0
    assert StyleBank.load(longer).names == ("identity", "a", "b")


def test_the_command_refuses_what_it_cannot_use(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = data / "bank.toml"
    common = [
        "--photos",
        str(data / "photos"),
        "--pictures",
        str(data / "pictures"),
        "--out",
        str(data / "x.safetensors"),
    ]
    common += ["--perceptual", str(tiny_vgg_file(data)), "--device", "cpu"]
    assert run(["train", str(config), *common[:5], str(data / "none/x.safetensors")]) == 2
    assert "the folder" in capsys.readouterr().err
    for text, message in {
        "[options]\nstepps = 3\n": "no training option 'stepps'",
        "[optoins]\n": "no table [optoins]",
        "[options\n": "cannot be read as TOML",
        '[[style]]\npicture = "z.png"\n': "no picture at",
        '[[style]]\nname = "z"\n': "picture",
    }.items():
        config.write_text(text)
        assert run(["train", str(config), *common]) == 2
        assert message in capsys.readouterr().err
