"""A live session of real parts: engine, camera behind OpenCV, virtual camera behind pyvirtualcam, recording."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.banks import tiny_bank
from tests.cameras import Bench, Gate, Recorder, recorders
from tests.clips import decoded
from tests.screen import until
from videostyle.engines import load_engine
from videostyle.frame import Image
from videostyle.live import CROSSFADE, LiveSession
from videostyle.live_outputs import Outputs
from videostyle.sources.synthetic import SyntheticSource
from videostyle.sources.webcam import WebcamSource
from videostyle.styles import StyleBank, parse_mix
from videostyle.stylizer import Stylizer

pytestmark = pytest.mark.usefixtures("no_thread_left")

NEAR = 3.0
"""Mean difference in codes below which two paintings are the same."""
NAMES = ("rain", "sun", "hail")


@pytest.fixture
def bank() -> StyleBank:
    return tiny_bank("identity", *NAMES)


@pytest.fixture
def stylizer(bank: StyleBank) -> Iterator[Stylizer]:
    engine = load_engine(bank, device="cpu")
    yield Stylizer(engine, bank, parse_mix("rain"), crossfade=CROSSFADE)
    engine.close()


@pytest.fixture
def cameras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Recorder]]:
    monkeypatch.chdir(tmp_path)
    with recorders() as opened:
        yield opened


def paced(step: Any) -> Callable[[], Any]:
    """A step of a scripted camera that takes its time, as a camera of 100 frames a second does."""

    def taken() -> Any:
        time.sleep(0.01)
        return step() if callable(step) else step

    return taken


def test_a_camera_that_goes_and_comes_back_leaves_whole_outputs(stylizer: Stylizer, cameras: list[Recorder]) -> None:
    pull, plug = Gate(), Gate()
    above, below = halves(220, 30), halves(30, 220)
    first = itertools.chain((paced(above) for _ in range(30)), [pull.then(above)])
    again = itertools.chain([plug.then(below)], (paced(below) for _ in itertools.count()))
    bench = Bench(first, None, None, again)
    source = WebcamSource(0, capture=bench, platform="linux", cameras=lambda: [], backoff=(0.02, 0.05), size=None)
    said: list[str] = []
    outputs = Outputs(record=Path("me.mp4"), camera="")
    session = LiveSession(source, stylizer, NAMES, outputs, told=said.append)

    def hands() -> None:
        (camera,) = cameras
        before, after = (stylizer.preview(photo, stylizer.mix) for photo in (above, below))
        assert np.abs(before.astype(int) - after).mean() > 3 * NEAR
        until(lambda: shows(camera, before), "the camera is painted")
        pull.open.set()
        until(lambda: not shows(camera, before), "the card is painted")
        assert not shows(camera, after)
        plug.open.set()
        until(lambda: shows(camera, after), "the camera is painted again")
        session.stop()

    with Hands(hands):
        report = session.run()
    assert session.failures == []
    (camera,) = cameras
    assert camera.format == (64, 48, 30.0, "raw ")
    assert camera.closed == 1
    assert report.output == "me.mp4, virtual camera recorder0"
    assert sum("was gone once" in note for note in report.notes) == 1
    frames = decoded(Path("me.mp4"))
    assert 0 < len(frames) <= report.frames_out
    times = [frame.seconds for frame in frames]
    assert times == sorted(set(times))


def halves(upper: int, lower: int) -> Image:
    """Grey in two halves, which neither mirrors nor the order of colours change."""
    return np.repeat(np.array([upper, lower], np.uint8), 24)[:, None, None] * np.ones((1, 64, 3), np.uint8)


def shows(camera: Recorder, painting: Image) -> bool:
    return bool(camera.sent) and float(np.abs(camera.sent[-1][1].astype(int) - painting).mean()) < NEAR


class Hands:
    """Hands in a thread of their own; what they run into is the test's failure."""

    def __init__(self, hands: Callable[[], None]) -> None:
        self._error: BaseException | None = None
        self._hands = hands
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self._hands()
        except BaseException as error:
            self._error = error

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        if self._error is not None:
            raise self._error


def test_a_thousand_switches_in_ten_seconds(stylizer: Stylizer, bank: StyleBank, cameras: list[Recorder]) -> None:
    source = SyntheticSource("64x48", live=True, rate=30, frames=None)
    session = LiveSession(source, stylizer, NAMES, Outputs(camera=""))
    chosen: list[str] = []

    def hands() -> None:
        for number in range(1000):
            session.controls.press("123"[number * 7 % 3])
            chosen.append(str(stylizer.mix))
            time.sleep(0.01)
        (camera,) = cameras
        session.controls.press("space")
        count = len(camera.sent)
        until(lambda: len(camera.sent) > count + 2 * 30 * CROSSFADE + 5, "the last switch has faded in")
        session.stop()

    with Hands(hands):
        report = session.run()
    assert len(chosen) == 1000
    assert set(chosen) == set(NAMES)
    assert report.frames_out > 100
    assert session.failures == []
    (camera,) = cameras
    shown = camera.sent[-1][1]
    assert np.abs(shown.astype(int) - stylizer.preview(held(session), parse_mix(chosen[-1]))).mean() < NEAR
    other = next(name for name in NAMES if name != chosen[-1])
    assert np.abs(shown.astype(int) - stylizer.preview(held(session), parse_mix(other))).mean() > NEAR


def held(session: LiveSession) -> Image:
    """The photo behind the last frame."""
    photo = session.painter._held
    assert photo is not None
    return photo
