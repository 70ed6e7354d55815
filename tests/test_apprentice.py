"""Learning beside a session: news while it goes on, one line when it ends, and what the session makes of both."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from tests.banks import pictures, tiny_bank
from tests.scripted import ScriptedSource
from tests.test_live import NAMES, Negative, make
from tests.tiny_vgg import tiny_vgg_file
from videostyle.apprentice import Apprentice
from videostyle.cli import run
from videostyle.frame import Image
from videostyle.learned import LearnedStyle
from videostyle.library import HOME_VARIABLE, Library
from videostyle.pictures import save_picture
from videostyle.styles import IDENTITY, Range, StyleBank, StyleCard, parse_mix

PATIENCE = 120.0


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The present folder: a picture, and home with a tiny bank."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    monkeypatch.setenv("VIDEOSTYLE_PERCEPTUAL", str(tiny_vgg_file(tmp_path)))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "home/styles").mkdir(parents=True)
    tiny_bank(IDENTITY, "rain", "sun").save(tmp_path / "home/styles/tiny.safetensors")
    save_picture(tmp_path / "My Picture.png", pictures(1, 64, 96, seed=5)[0])
    return tmp_path


def wait_for_news(apprentice: Apprentice) -> LearnedStyle:
    began = time.perf_counter()
    while (style := apprentice.news()) is None:
        assert apprentice.outcome is None, apprentice.outcome
        assert time.perf_counter() - began < PATIENCE
        time.sleep(0.05)
    return style


def test_what_is_learned_is_there_meanwhile_and_kept_when_it_is_stopped() -> None:
    apprentice = Apprentice(Path("My Picture.png"), "mine", "sun", ["--device", "cpu", "--steps", "100000"])
    style = wait_for_news(apprentice)
    assert style.card.name == "mine"
    assert style.body == Library().bank(parse_mix("sun")).body_hash
    assert apprentice.news() is None
    assert apprentice.outcome is None
    apprentice.close()
    assert apprentice.outcome == "mine is learned, and kept"
    assert isinstance(Library().take("mine"), LearnedStyle)
    apprentice.close()


def test_a_failure_is_one_line() -> None:
    apprentice = Apprentice(pictures(1, 64, 96)[0], "rain", "sun")
    began = time.perf_counter()
    while apprentice.outcome is None:
        assert time.perf_counter() - began < PATIENCE
        time.sleep(0.05)
    assert apprentice.outcome.startswith("rain was not learned: ")
    assert "you have a style 'rain' already" in apprentice.outcome
    assert apprentice.news() is None
    apprentice.close()


def test_what_is_stopped_before_it_began_is_not_said_to_be_kept() -> None:
    apprentice = Apprentice(Path("My Picture.png"), "mine", "sun", ["--device", "cpu"])
    apprentice.close()
    assert apprentice.outcome is not None
    assert apprentice.outcome.startswith("mine was not learned: ")


@dataclass
class Scripted:
    """An apprentice that gets better each time it is asked, ``times`` times."""

    bank: StyleBank
    name: str = "mine"
    times: int = 2
    ending: str = "mine is learned, and kept"
    seconds: float = 0.0
    asked: int = 0
    closed: int = 0
    begun: list[tuple[Path | Image, str]] = field(default_factory=list)
    ranges: dict[str, Range] = field(default_factory=dict)

    def __call__(self, picture: Path | Image, name: str) -> Scripted:
        self.begun.append((picture, name))
        self.name = name
        return self

    def news(self) -> LearnedStyle | None:
        self.asked += 1
        if self.asked > self.times:
            return None
        vector = np.full_like(self.bank.styles[0], self.asked)
        return LearnedStyle(StyleCard(self.name), vector, self.bank.body_hash, self.bank.config, self.ranges)

    @property
    def outcome(self) -> str | None:
        return self.ending if self.asked > self.times else None

    def close(self) -> None:
        self.closed += 1


def slowly(count: int) -> ScriptedSource:
    return ScriptedSource(count, lambda index: time.sleep(0.02), live=True)


def test_a_session_paints_in_a_style_while_it_is_learned() -> None:
    bank = tiny_bank(IDENTITY, *NAMES)
    pupil = Scripted(bank)
    stage = make(slowly(80), learn=pupil)
    stage.session.learn(Path("picture.png"), "mine")
    stage.session.learn(Path("other.png"), "yours")
    stage.session.run()
    assert pupil.begun == [(Path("picture.png"), "mine")]
    assert stage.stylizer.mix.names == ("mine",)
    assert stage.session.controls.names == (*NAMES, "mine")
    assert stage.session.view.sheet.names == (*NAMES, "mine")
    vector = stage.stylizer.bank.vector(stage.stylizer.mix, 1.0)
    assert np.array_equal(vector, np.full_like(vector, 2))
    assert "learning mine" in stage.said
    assert "one style at a time: it goes on" in stage.said
    assert "mine is learned, and kept" in stage.said
    assert pupil.closed >= 1


def test_int8_makes_room_for_what_is_learned_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = list[StyleBank]()

    def load(bank: StyleBank, **options: str) -> Negative:
        assert options == {"engine": "negative", "precision": "int8", "device": "cpu"}
        loaded.append(bank)
        return Negative(precision="int8")

    monkeypatch.setattr("videostyle.live.load_engine", load)
    bank = tiny_bank(IDENTITY, *NAMES)
    pupil = Scripted(bank, ranges={"stem.conv": (-9.0, 9.0)})
    stage = make(slowly(80), learn=pupil)
    first, first.precision = stage.engine, "int8"
    stage.stylizer.set_bank(replace(bank, ranges={"stem.conv": (-1.0, 1.0)}))
    stage.session.learn(Path("picture.png"), "mine")
    stage.session.run()
    assert [of.ranges for of in loaded] == [{"stem.conv": (-9.0, 9.0)}]  # once: then they are as wide as that
    assert stage.stylizer.engine is not first
    assert stage.stylizer.mix.names == ("mine",)


def test_the_key_learns_from_what_is_held_up_to_the_camera() -> None:
    seen = []

    def begin(picture: Path | Image, name: str) -> Scripted:
        assert isinstance(picture, np.ndarray)
        seen.append((picture.shape, name))
        pupil.asked = 0
        return pupil(picture, name)

    pupil = Scripted(tiny_bank(IDENTITY, *NAMES), times=0)
    stage = make(slowly(60), {5: "l", 50: "l"}, learn=begin)
    stage.session.run()
    assert [name for _, name in seen] == ["camera", "camera-2"]
    assert seen[0][0] == (7, 13, 3)  # of 8x16, less a tenth at each side


def test_a_session_that_cannot_learn_says_so() -> None:
    stage = make(slowly(20), {5: "l"})
    stage.session.run()
    assert "this session learns no styles" in stage.said


def test_more_styles_than_keys_leave_the_new_one_a_key() -> None:
    stage = make(slowly(5))
    controls = stage.session.controls
    for number in range(9):
        controls.add(f"style-{number}")
    controls.add("mine")
    assert controls.names.index("mine") == 8
    stage.session.run()


def test_a_bank_of_another_net_is_refused_and_the_old_one_stays() -> None:
    stage = make(slowly(5))
    bank = stage.stylizer.bank
    with pytest.raises(Exception, match="rain"):
        stage.stylizer.set_bank(replace(bank, cards=bank.cards[2:], styles=bank.styles[2:]))
    assert stage.stylizer.bank is bank
    stage.session.run()


@pytest.mark.parametrize(
    ("style", "said"),
    [("none.png", "none.png"), ("rain.png", "there is a style rain already"), ("text.jpg", "text.jpg")],
)
def test_pictures_that_cannot_be_learned_from_are_one_line(
    style: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "text.jpg").write_text("no picture")
    (folder / "My Picture.png").rename(folder / "rain.png")
    options = ["--source", "synthetic:64x48", "--no-window", "--record", "out.mp4", "--device", "cpu"]
    assert run(["live", "--style", style, *options]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
