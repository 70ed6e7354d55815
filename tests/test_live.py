"""The live session: what keys do, what each sink gets, and what is left when one of them fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.banks import tiny_bank
from tests.scripted import ScriptedSink, ScriptedSource, frame
from videostyle.errors import SinkError
from videostyle.frame import Frame, FrameSink, Image, StreamInfo
from videostyle.live import LiveSession
from videostyle.live_outputs import Outputs
from videostyle.pictures import load_picture
from videostyle.sinks.view import View
from videostyle.styles import parse_mix
from videostyle.stylizer import Stylizer

NAMES = ("rain", "sun", "hail")
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def _no_thread_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) - before == set()


@dataclass
class Negative:
    """An engine whose paintings are negatives, after ``seconds`` for each million pixels."""

    seconds: float = 0.0
    name: str = "negative"
    precision: str = "fp32"
    device: str = "cpu"
    lanes: int = 1
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    def __call__(self, images: Image, vector: NDArray[np.float32]) -> Image:
        self.shapes.append(images.shape)
        time.sleep(self.seconds * images[..., 0].size / 1e6)
        return 255 - images

    def close(self) -> None:
        pass


class FakeWindow(ScriptedSink):
    """Presses ``keys`` (name by frame number) as frames come, and keeps the frames."""

    def __init__(self, info: StreamInfo, view: View, keys: dict[int, str | Callable[[], object]]) -> None:
        super().__init__()
        self.info, self.view, self.keys = info, view, keys
        self.frames: list[Frame] = []
        self.pumped = self.fullscreens = 0
        self.on_key: Callable[[str], None] = lambda name: None
        self.on_click: Callable[[float, float], None] = lambda x, y: None
        self.on_close: Callable[[], None] = lambda: None

    @property
    def output(self) -> str | None:
        return None

    def write(self, frame: Frame) -> None:
        super().write(frame)
        self.frames.append(frame)
        key = self.keys.get(len(self.frames))
        if isinstance(key, str):
            self.on_key(key)
        elif key is not None:
            key()

    def pump(self) -> None:
        self.pumped += 1

    def toggle_fullscreen(self) -> None:
        self.fullscreens += 1


@dataclass
class Stage:
    """A session with everything in it, from ``make``."""

    session: LiveSession
    window: FakeWindow
    stylizer: Stylizer
    engine: Negative
    said: list[str]


def make(
    source: Any = None,
    keys: dict[int, str | Callable[[], object]] | None = None,
    *,
    seconds: float = 0.0,
    **options: Any,
) -> Stage:
    engine = Negative(seconds)
    said: list[str] = []
    windows: list[FakeWindow] = []
    bank = tiny_bank("identity", *NAMES)
    stylizer = Stylizer(engine, bank, parse_mix("rain"))

    def window(info: StreamInfo, view: View) -> FakeWindow:
        windows.append(FakeWindow(info, view, keys or {}))
        return windows[-1]

    source = ScriptedSource(30, lambda index: time.sleep(0.002), live=True) if source is None else source
    session = LiveSession(source, stylizer, NAMES, window=window, told=said.append, **options)
    return Stage(session, windows[0], stylizer, engine, said)


def test_the_window_gets_paintings_with_their_photos_and_the_report_counts_them() -> None:
    stage = make()
    report = stage.session.run()
    assert report.frames_in == 30
    assert report.frames_out == len(stage.window.frames) == 30 - report.dropped
    last = stage.window.frames[-1]
    assert last.photo is not None
    assert (last.photo == 29).all()
    assert (last.image == 255 - 29).all()
    assert stage.window.closed == [True]
    assert report.output is None
    assert stage.session.failures == []
    assert stage.session.signal is None
    assert stage.window.info.live
    assert stage.engine.shapes[0] == (1, 8, 16, 3), "warm before the window opens"


@pytest.mark.parametrize(
    ("keys", "mix"),
    [
        ("2", "sun"),
        ("9", "rain"),
        ("n", "sun"),
        ("N", "hail"),
        ("n right left", "sun"),
        ("n n n", "rain"),
        ("b", "rain:0.5,sun:0.5"),
        ("b b", "rain"),
        ("3 b", "hail:0.5,rain:0.5"),
        ("b n", "sun"),
        ("z", "rain"),
    ],
)
def test_keys_choose_styles(keys: str, mix: str) -> None:
    stage = make()
    for key in keys.split():
        stage.session.controls.press(key)
    assert str(stage.stylizer.mix) == mix
    assert stage.session.view.chosen == stage.stylizer.mix.names
    stage.session.stop()
    stage.session.run()


def test_keys_change_how_it_is_painted_and_shown() -> None:
    stage = make()
    press, view = stage.session.controls.press, stage.session.view
    for key in ("-", "down", "+"):
        press(key)
    assert stage.stylizer.strength == pytest.approx(0.9)
    for _ in range(20):
        press("-")
    assert stage.stylizer.strength == 0
    press("c")
    assert stage.stylizer.keep_color
    press("x")
    assert view.split
    press("h")
    assert view.help
    press("f")
    assert stage.window.fullscreens == 1
    press("g")
    assert (view.sheet.open, view.help) == (True, False)
    press("escape")
    assert not view.sheet.open
    stage.session.stop()
    stage.session.run()


@pytest.mark.parametrize("key", ["q", "escape"])
def test_a_key_ends_the_run(key: str) -> None:
    stage = make(ScriptedSource(10**9, lambda index: time.sleep(0.001), live=True), {5: key})
    report = stage.session.run()
    assert 5 <= report.frames_out <= 7
    assert stage.window.closed == [True]


def test_closing_the_window_ends_the_run_though_the_source_is_stuck() -> None:
    source = ScriptedSource(9, lambda index: index == 1 and source.closed.wait(PATIENCE), live=True)
    stage = make(source, {1: lambda: threading.Timer(0.05, stage.window.on_close).start()})
    report = stage.session.run()
    assert report.frames_out == 1
    assert stage.window.pumped > 0
    assert report.seconds < PATIENCE / 2


def test_it_ends_by_itself_after_its_duration() -> None:
    stage = make(ScriptedSource(10**9, lambda index: time.sleep(0.001), live=True), duration=0.2)
    assert 0.2 <= stage.session.run().seconds < PATIENCE


def test_space_holds_the_picture_but_not_the_painting() -> None:
    keys: dict[int, str | Callable[[], object]] = {5: "space", 12: "c", 20: "space"}
    stage = make(ScriptedSource(10**9, lambda index: time.sleep(0.001), live=True), {**keys, 30: "q"})
    stage.session.run()
    photos = [int(now.photo[0, 0, 0]) for now in stage.window.frames if now.photo is not None]
    held = photos[8:18]
    assert len(set(held)) == 1
    assert photos[-1] != held[0]
    indices = [now.index for now in stage.window.frames]
    assert indices == sorted(set(indices)), "time goes on"


class Sloping(ScriptedSource):
    """Pictures that are dark on the left."""

    def __iter__(self) -> Iterator[Frame]:
        for now in super().__iter__():
            image = now.image.copy()
            image[:, :8], image[:, 8:] = 0, 200
            yield replace(now, image=image)


def test_m_mirrors() -> None:
    stage = make(Sloping(10**9, lambda index: time.sleep(0.001), live=True), {5: "m", 15: "q"})
    stage.session.run()
    first, last = stage.window.frames[0].photo, stage.window.frames[-1].photo
    assert first is not None
    assert last is not None
    assert (first[0, 0, 0], last[0, 0, 0]) == (0, 200)


def test_m_is_left_to_a_camera_that_can_do_it() -> None:
    source = ScriptedSource(5, live=True)
    source.mirror = True  # type: ignore[attr-defined]
    stage = make(source)
    stage.session.controls.press("m")
    assert source.mirror is False  # type: ignore[attr-defined]
    assert not stage.session.painter.mirror
    stage.session.run()


def test_p_saves_what_is_painted_and_nothing_over_it(tmp_path: Path) -> None:
    def wait_for_file() -> None:
        deadline = time.monotonic() + PATIENCE
        while not list(tmp_path.glob("videostyle-*.png")):
            assert time.monotonic() < deadline
            time.sleep(0.005)

    stage = make(None, {5: "h", 6: "p", 7: wait_for_file})
    stage.session.run()
    (saved,) = tmp_path.glob("*.png")
    image = load_picture(saved)
    assert len(np.unique(image)) == 1
    assert 255 - image[0, 0, 0] in [now.index for now in stage.window.frames]
    assert stage.said == [f"saved {saved.name}"]


class Opener:
    """Stands for ``open_sink``: gives scripted sinks, and remembers what for."""

    def __init__(self, *sinks: FrameSink) -> None:
        self.waiting = list(sinks)
        self.asked: list[tuple[str, StreamInfo, dict[str, Any]]] = []

    def __call__(self, spec: str | Path, info: StreamInfo, **options: Any) -> FrameSink:
        self.asked.append((str(spec), info, options))
        return self.waiting.pop(0)


def test_outputs_that_were_asked_for_run_from_the_start() -> None:
    recording, camera, stream = ScriptedSink(), ScriptedSink(), ScriptedSink()
    opener = Opener(recording, camera, stream)
    wanted = Outputs(Path("me.mp4"), True, "", "rtmp://somewhere/live", {"codec": "h264"})
    stage = make(wanted=wanted, opener=opener)
    report = stage.session.run()
    assert [spec for spec, _, _ in opener.asked] == ["me.mp4", "virtual-camera:", "rtmp://somewhere/live"]
    assert opener.asked[0][2] == {"force": True, "codec": "h264"}
    assert recording.indices[-1] == camera.indices[-1] == stream.indices[-1] == 29
    assert recording.closed == camera.closed == stream.closed == [True]
    assert report.output == "scripted, scripted, scripted"


def test_an_output_that_cannot_open_is_said_before_anything_runs() -> None:
    def refuse(*_: Any, **options: Any) -> FrameSink:
        raise SinkError("the folder does not exist")

    source = ScriptedSource(5, live=True)
    with pytest.raises(SinkError, match="the folder does not exist"):
        make(source, wanted=Outputs(record=Path("none/me.mp4")), opener=refuse)


def test_r_and_v_switch_recording_and_camera_on_and_off() -> None:
    first, camera, second = ScriptedSink(), ScriptedSink(), ScriptedSink()
    opener = Opener(first, camera, second)
    keys: dict[int, str | Callable[[], object]] = {5: "r", 10: "v", 15: "r", 18: "v", 20: "r", 30: "q"}
    stage = make(ScriptedSource(10**9, lambda index: time.sleep(0.005), live=True), keys, opener=opener)
    stage.session.run()
    assert sorted(spec[:11] for spec, _, _ in opener.asked) == ["videostyle-", "videostyle-", "virtual-cam"]
    shown = [now.index for now in stage.window.frames]
    assert first.indices[-1] == shown[14]
    assert second.indices[-1] >= shown[29]
    assert camera.indices[-1] <= shown[17]
    assert first.closed == camera.closed == second.closed == [True]
    assert "recording ended" in stage.said
    assert not stage.session.failures


def test_a_camera_that_does_not_open_is_not_said_to_be_on() -> None:
    def refuse(spec: str | Path, info: StreamInfo, **options: Any) -> ScriptedSink:
        raise SinkError("there is no virtual camera")

    stage = make(ScriptedSource(40, lambda index: time.sleep(0.005), live=True), {5: "v", 20: "v"}, opener=refuse)
    stage.session.run()
    assert "virtual camera on" not in stage.said
    assert stage.said.count("virtual camera ended: there is no virtual camera") == 2


def test_a_second_recording_does_not_overwrite_the_first(tmp_path: Path) -> None:
    (tmp_path / "me.mp4").touch()
    opener = Opener(ScriptedSink(), ScriptedSink())
    stage = make(None, {3: "r", 6: "r"}, wanted=Outputs(record=Path("me.mp4"), force=True), opener=opener)
    stage.session.run()
    assert [spec for spec, _, _ in opener.asked] == ["me.mp4", "me-2.mp4"]


def test_recordings_and_snapshots_in_quick_succession_have_names_of_their_own() -> None:
    # Their files are not there yet when the next one is begun.
    opener = Opener(*(ScriptedSink() for _ in range(3)))
    stage = make(None, dict(enumerate("rprprprp", 3)), wanted=Outputs(), opener=opener)
    stage.session.run()
    assert len({spec for spec, _, _ in opener.asked}) == len(opener.asked) == 2
    saved = [line for line in stage.said if line.startswith("saved ")]
    assert len({*saved}) == len(saved) == len(list(Path().glob("*.png"))) == 4


def test_a_recording_on_a_full_disk_ends_alone_and_is_a_failure_in_the_end() -> None:
    def full(now: Frame) -> None:
        raise SinkError("me.mp4: the disk of . is full")

    broken = ScriptedSink(full)
    stage = make(wanted=Outputs(record=Path("me.mp4")), opener=Opener(broken))
    report = stage.session.run()
    assert stage.window.frames[-1].index == 29
    assert broken.closed == [False]
    assert stage.said == ["recording ended: me.mp4: the disk of . is full"]
    assert report.notes == ("recording ended: me.mp4: the disk of . is full",)
    assert len(stage.session.failures) == 1


def test_an_encoder_slower_than_real_time_slows_nothing_and_loses_frames_that_are_counted() -> None:
    slow = ScriptedSink(lambda now: time.sleep(0.1))
    source = ScriptedSource(60, lambda index: time.sleep(0.005), live=True)
    stage = make(source, wanted=Outputs(record=Path("me.mp4")), opener=Opener(slow))
    report = stage.session.run()
    assert len(stage.window.frames) > 3 * len(slow.indices)
    assert slow.indices == sorted(set(slow.indices))
    assert any("recording: " in note and "frames were dropped" in note for note in report.notes)


def test_a_net_that_breaks_ends_the_run_with_its_own_error_and_closes_all() -> None:
    recording = ScriptedSink()
    stage = make(wanted=Outputs(record=Path("me.mp4")), opener=Opener(recording))

    def broken(images: Image, vector: NDArray[np.float32]) -> Image:
        raise ZeroDivisionError("in the net")

    stage.stylizer.engine = broken  # type: ignore[assignment]
    with pytest.raises(ZeroDivisionError, match="in the net"):
        stage.session.run()
    assert stage.window.closed == [False]
    assert recording.closed == [False]


class Changing(ScriptedSource):
    """Another size and shape every few frames."""

    def __iter__(self) -> Iterator[Frame]:
        for now in super().__iter__():
            width, height = ((16, 8), (32, 16), (8, 8), (7, 31))[now.index // 5 % 4]
            yield replace(now, image=frame(now.index, width, height).image)


def test_a_size_that_changes_on_the_way_changes_nothing_behind_the_net() -> None:
    recording = ScriptedSink(lambda now: shapes.add(now.image.shape))
    shapes: set[tuple[int, ...]] = set()
    source = Changing(40, lambda index: time.sleep(0.002), live=True)
    stage = make(source, wanted=Outputs(record=Path("me.mp4")), opener=Opener(recording))
    stage.session.run()
    assert {now.image.shape for now in stage.window.frames} | shapes == {(8, 16, 3)}


def test_a_thousand_switches_end_where_the_last_one_says() -> None:
    stage = make(ScriptedSource(10**9, lambda index: time.sleep(0.001), live=True))
    presses = 0

    def press() -> None:
        nonlocal presses
        for _ in range(50 if presses < 1000 else 0):
            stage.session.controls.press("n")
            presses += 1
        if presses >= 1000:
            stage.session.stop()

    stage.window.keys = {number: press for number in range(1, 100)}
    stage.session.run()
    assert presses == 1000
    assert stage.stylizer.mix.names == (NAMES[1000 % 3],)
    assert len(stage.window.frames) >= 20


def test_the_sheet_is_painted_while_frames_go_on_and_a_click_picks_from_it() -> None:
    def pick() -> None:
        stage.session.view.compose(stage.window.frames[-1], (320, 160))
        box = stage.session.view.sheet._boxes[1]
        stage.window.on_click(box.x + 2, box.y + 2)

    keys: dict[int, str | Callable[[], object]] = {3: "g", 20: pick, 22: "q"}
    stage = make(ScriptedSource(10**9, lambda index: time.sleep(0.002), live=True), keys)
    stage.session.run()
    assert stage.session.view.sheet.drawn == len(NAMES)
    assert not stage.session.view.sheet.open
    assert str(stage.stylizer.mix) == "sun"


class Large(ScriptedSource):
    """Pictures of 320x240."""

    def __init__(self, frames: int) -> None:
        super().__init__(frames, lambda index: time.sleep(0.004), live=True)
        self.info = replace(self.info, width=320, height=240)

    def __iter__(self) -> Iterator[Frame]:
        return (replace(now, image=frame(now.index, 320, 240).image) for now in super().__iter__())


def test_a_net_that_is_too_slow_works_on_less_and_says_so_while_all_sizes_stay() -> None:
    stage = make(Large(10**9), {40: "q"}, seconds=1.2, target_fps=30.0)  # 92 ms for a whole picture
    report = stage.session.run()
    assert {now.image.shape for now in stage.window.frames} == {(240, 320, 3)}
    width, height = stage.session.painter.net_size
    assert width <= 0.6 * 320
    assert stage.engine.shapes[-1][1] < 240
    assert any(line.startswith("the net now works on") for line in stage.said)
    assert any("to hold 30 fps the net changed its size" in note for note in report.notes)
    assert any(f"(net at {width}x{height})" in line for line in stage.session.view.info)


def test_the_corner_tells_style_rate_latency_drops_and_size() -> None:
    stage = make(ScriptedSource(10**9, lambda index: time.sleep(0.01), live=True), duration=0.8)
    stage.session.controls.press("b")
    stage.session.controls.press("-")
    stage.session.run()
    style, rate, size = stage.session.view.info
    assert style == "rain + sun  90%"
    assert size == "16x8"
    fps, latency, dropped = rate.split("   ")
    assert 1 < float(fps.removesuffix(" fps")) <= 105
    assert 0 <= int(latency.removesuffix(" ms")) < 5000
    assert dropped.endswith(" dropped")


def test_times_are_those_of_the_source() -> None:
    stage = make()
    stage.session.run()
    for now in stage.window.frames:
        assert (now.pts, now.time_base) == (now.index, Fraction(1, 25))
