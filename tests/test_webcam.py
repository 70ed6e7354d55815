import errno
import itertools
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.cameras import Bench, Gate, picture
from videostyle.canvas import card, letterbox
from videostyle.errors import SourceError, UsageError
from videostyle.frame import Frame
from videostyle.sources import open_source
from videostyle.sources.v4l2 import Camera, Mode, cameras, modes
from videostyle.sources.webcam import WebcamSource

pytestmark = pytest.mark.usefixtures("no_thread_left")

BLUE_LEFT = np.zeros((48, 64, 3), np.uint8)
BLUE_LEFT[:, :32] = (250, 0, 0)  # OpenCV's order


def webcam(bench: Bench, spec: str | int = 0, **options: Any) -> WebcamSource:
    chosen: dict[str, Any] = {"platform": "linux", "cameras": lambda: [], "backoff": (0.02, 0.05)}
    return WebcamSource(spec, capture=bench, **chosen | options)


def take(source: Iterable[Frame], wanted: Callable[[Frame], bool]) -> Frame:
    """The first frame that is ``wanted``; an endless wait is ended by the source's own pace."""
    deadline = time.monotonic() + 30
    for frame in source:
        if wanted(frame):
            return frame
        assert time.monotonic() < deadline
    raise AssertionError("the source ended")


def is_flat(value: int) -> Callable[[Frame], bool]:
    return lambda frame: bool((frame.image == value).all())


def is_card(frame: Frame) -> bool:
    return not is_flat(int(frame.image[0, 0, 0]))(frame) and tuple(frame.image[0, 0]) == (24, 26, 31)


def test_pictures_are_rgb_and_mirrored_unless_told_otherwise() -> None:
    with webcam(Bench(itertools.repeat(BLUE_LEFT))) as source:
        frame = next(iter(source))
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.c_contiguous
        assert tuple(frame.image[0, 63]) == (0, 0, 250)
        assert tuple(frame.image[0, 0]) == (0, 0, 0)
        source.mirror = False
        assert tuple(take(source, lambda frame: frame.image[0, 0, 2] == 250).image[0, 63]) == (0, 0, 0)


def test_the_stream_is_live_with_the_times_of_the_clock() -> None:
    with webcam(Bench(map(picture, itertools.cycle(range(200))))) as source:
        assert source.info.live
        assert source.info.rate == 30
        assert source.info.frames is None
        frames = list(itertools.islice(source, 8))
    assert frames[0].pts == 0
    assert all(a.pts < b.pts and a.index < b.index for a, b in itertools.pairwise(frames))
    elapsed = frames[-1].captured_at - frames[0].captured_at
    assert frames[-1].seconds == pytest.approx(elapsed, abs=0.001)
    assert list(source) == []


def test_size_rate_and_compression_are_asked_for_and_what_was_granted_is_told() -> None:
    bench = Bench(itertools.repeat(picture(1)), rate=15.0)
    with webcam(bench, size=(640, 360), rate=30) as source:
        assert (source.info.width, source.info.height, source.info.rate) == (64, 48, Fraction(15))
        assert source.description == "camera 0: 64x48 at 15 fps, MJPG"
        assert source.notes == ["camera 0 gives 64x48 at 15 fps, not 640x360 at 30 fps"]
    asked = bench.captures[0].asked
    assert list(asked) == [
        cv2.CAP_PROP_FOURCC,
        cv2.CAP_PROP_FRAME_WIDTH,
        cv2.CAP_PROP_FRAME_HEIGHT,
        cv2.CAP_PROP_FPS,
        cv2.CAP_PROP_BUFFERSIZE,
    ]
    assert list(asked.values())[1:] == [640, 360, 30, 1]
    assert bench.opened == [(0, cv2.CAP_V4L2)]
    assert bench.captures[0].released == 1


def test_a_rate_that_is_none_is_unknown() -> None:
    with webcam(Bench(itertools.repeat(picture(1)), rate=0.0), size=None, rate=None) as source:
        assert source.info.rate is None
        assert source.notes == []
    for options in ({"size": (0, 1)}, {"rate": 0}):
        with pytest.raises(UsageError, match="above zero"):
            webcam(Bench(None), **options)


def test_pulled_out_and_plugged_in_again() -> None:
    pull, plug = Gate(), Gate()
    again = itertools.chain([plug.then(picture(20))], itertools.repeat(picture(20)))
    bench = Bench([picture(10), pull.then(picture(10))], None, None, again)
    with webcam(bench, size=None) as source:
        frames = iter(source)
        seen = [take(frames, is_flat(10))]
        pull.open.set()
        seen.append(take(frames, is_card))
        plug.open.set()
        seen.append(take(frames, is_flat(20)))
        assert all(a.pts < b.pts and a.index < b.index for a, b in itertools.pairwise(seen))
        assert {frame.image.shape for frame in seen} == {(48, 64, 3)}
    assert len(bench.opened) == 4
    assert [capture.released for capture in bench.captures] == [1, 1, 1, 1]
    assert len(source.notes) == 1
    assert source.notes[0].startswith("camera 0 was gone once, ")
    assert "busy or broken" in source.notes[0] or "there is no camera 0" in source.notes[0]


def test_losses_are_counted_in_one_note() -> None:
    bench = Bench(*([picture(value)] * 2 for value in (1, 2, 3)), itertools.repeat(picture(4)))
    with webcam(bench, size=None) as source:
        take(source, is_flat(4))
    assert len(source.notes) == 1
    assert source.notes[0].startswith("camera 0 was gone 3 times, ")


def test_without_reconnection_a_loss_is_an_error() -> None:
    bench = Bench([picture(10)] * 3)
    source = webcam(bench, reconnect=False)
    with pytest.raises(SourceError, match="camera 0 gives no pictures: see that it is plugged in"):
        take(source, lambda frame: False)
    source.close()
    assert bench.captures[0].released == 1


def test_a_picture_that_is_broken_now_and_then_is_no_loss() -> None:
    bench = Bench(itertools.cycle([picture(5), None, None]))
    with webcam(bench, size=None) as source:
        assert all(is_flat(5)(frame) for frame in itertools.islice(source, 6))
    assert len(bench.opened) == 1
    assert source.notes == []


def test_a_camera_that_opens_but_gives_nothing() -> None:
    bench = Bench([])
    with pytest.raises(SourceError, match="gives no pictures"):
        webcam(bench)
    assert bench.captures[0].released == 1


def test_another_size_on_the_way_is_fitted_and_told() -> None:
    with webcam(Bench([picture(9)] * 4, itertools.repeat(picture(200, 48, 48))), size=None) as source:
        frame = take(source, lambda frame: frame.image[24, 32, 0] == 200)
    assert frame.image.shape == (48, 64, 3)
    assert (frame.image[:, :8] == 0).all()
    assert (frame.image[:, 8:56] == 200).all()
    assert "camera 0 changed to 48x48 on the way; its pictures were fitted into 64x48" in source.notes


def test_a_hanging_camera_shows_the_card_and_closes_at_once() -> None:
    hang = Gate()
    source = webcam(Bench([picture(7), hang.then(picture(8))]), patience=0.05)
    frames = iter(source)
    take(frames, is_card)
    started = time.monotonic()
    threading.Timer(0.05, source.close).start()
    assert len(list(frames)) < 10
    assert time.monotonic() - started < 5
    hang.open.set()


def test_after_a_hiccup_pictures_go_on() -> None:
    hiccup = Gate()
    steps = itertools.chain([picture(7), hiccup.then(picture(8))], itertools.repeat(picture(8)))
    with webcam(Bench(steps), patience=0.05, size=None) as source:
        take(source, is_card)
        hiccup.open.set()
        take(source, is_flat(8))
    assert source.notes == []


def test_a_fault_in_opencv_is_a_loss() -> None:
    def burst() -> None:
        raise cv2.error("USB burst")

    with pytest.raises(SourceError, match="USB burst"):
        webcam(Bench([burst]))


CAMERAS = [Camera(0, "Integrated Camera", Path("/dev/video0")), Camera(4, "HD Pro Webcam C920", Path("/dev/video4"))]


def test_names_are_found_and_followed_to_another_number() -> None:
    bench, there = Bench([picture(1)] * 2, itertools.repeat(picture(2))), list(CAMERAS)
    with webcam(bench, "c920", cameras=lambda: there) as source:
        assert source.name == "camera 4 (HD Pro Webcam C920)"
        there[1] = Camera(6, "HD Pro Webcam C920", Path("/dev/video6"))
        take(source, is_flat(2))
    assert bench.opened[0][0] == 4
    assert bench.opened[-1][0] in (4, 6)


def test_a_number_is_followed_by_the_name_it_had() -> None:
    bench, there = Bench(itertools.repeat(picture(1))), list(CAMERAS)
    source = webcam(bench, "4", cameras=lambda: there)
    there[1] = Camera(6, "HD Pro Webcam C920", Path("/dev/video6"))
    assert source._device() == (6, "HD Pro Webcam C920")
    source.close()


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("7", {}, "there is no camera 7; no camera is connected"),
        ("7", {"cameras": lambda: CAMERAS}, r"there are: 0 \(Integrated Camera\), 4 \(HD Pro"),
        ("sony", {"cameras": lambda: CAMERAS}, "no camera is called 'sony'; there are: 0"),
        ("0", {"cameras": lambda: CAMERAS}, "is busy or broken: close the browser"),
        ("0", {"platform": "darwin"}, "System Settings > Privacy & Security > Camera"),
        ("0", {"platform": "win32"}, "Settings > Privacy & security > Camera"),
        ("sony", {"platform": "win32"}, "names on Linux only; give a number"),
    ],
)
def test_cameras_that_do_not_open_say_what_to_do(spec: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        webcam(Bench(None), spec, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Video4Linux")
def test_opencv_itself_says_nothing_of_a_camera_that_is_missing(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="there is no camera 97"):
        WebcamSource("97")
    assert capfd.readouterr().err == ""


def test_windows_tries_both_of_its_ways() -> None:
    bench = Bench(None, itertools.repeat(picture(1)))
    with webcam(bench, platform="win32") as source:
        next(iter(source))
    assert bench.opened == [(0, cv2.CAP_DSHOW), (0, cv2.CAP_MSMF)]


@pytest.mark.parametrize("spec", ["webcam:0", "webcam:"])
def test_specs_of_the_table(spec: str) -> None:
    bench = Bench(itertools.repeat(picture(1)))
    source = open_source(spec, capture=bench, platform="darwin")
    source.close()
    assert isinstance(source, WebcamSource)
    assert bench.opened == [(0, cv2.CAP_AVFOUNDATION)]


def device(folder: Path, number: int, name: str, index: int) -> None:
    sysfs = folder / "sys" / f"video{number}"
    sysfs.mkdir(parents=True)
    (sysfs / "name").write_text(f"{name}\n")
    (sysfs / "index").write_text(f"{index}\n")
    (folder / "dev").mkdir(exist_ok=True)
    (folder / "dev" / f"video{number}").touch()


class ScriptedIoctl:
    """A driver with MJPG in two sizes and a range of sizes in YUYV, laid out as in linux/videodev2.h."""

    def __init__(self, capabilities: Iterable[int]) -> None:
        self._capabilities = iter(capabilities)

    def __call__(self, file: int, request: int, query: bytearray) -> None:
        number = request & 0xFF
        assert (request >> 16) & 0x3FFF == len(query)
        (index,) = struct.unpack_from("<I", query)
        if number == 0:
            struct.pack_into("<II", query, 84, 0x85200001, next(self._capabilities))
        elif number == 2:
            assert struct.unpack_from("<I", query, 4) == (1,)
            self._answer(query, "<4s", 44, [(b"MJPG",), (b"YUYV",)], index)
        elif number == 74 and query[4:8] == b"MJPG":
            self._answer(query, "<III", 8, [(1, 1280, 720), (1, 640, 360)], index)
        elif number == 74:
            self._answer(query, "<IIIIIII", 8, [(3, 16, 1920, 16, 16, 1080, 8)], index)
        elif number == 75 and query[4:8] == b"MJPG":
            self._answer(query, "<III", 16, [(1, 1, 15), (1, 1001, 30000)], index)
        else:
            raise OSError(errno.ENOTTY, "no such list")

    def _answer(self, query: bytearray, layout: str, offset: int, answers: list[tuple[Any, ...]], index: int) -> None:
        if index >= len(answers):
            raise OSError(errno.EINVAL, "the end")
        struct.pack_into(layout, query, offset, *answers[index])


def test_cameras_are_listed_without_their_other_devices(tmp_path: Path) -> None:
    for number, name, index in ((2, "Webcam", 0), (3, "Webcam", 1), (10, "Loopback", 0)):
        device(tmp_path, number, name, index)
    capture, metadata, output = 0x04200001, 0x04A00000, 0x05200002
    order = {
        path.name: caps
        for path, caps in zip(
            [tmp_path / "sys" / f"video{number}" for number in (2, 3, 10)], (capture, metadata, output), strict=True
        )
    }
    listed = [order[folder.name] for folder in (tmp_path / "sys").glob("video*")]
    found = cameras(tmp_path / "sys", tmp_path / "dev", ScriptedIoctl(listed))
    assert found == [Camera(2, "Webcam", tmp_path / "dev" / "video2")]
    # These files are no devices, so nothing can be asked: the first device of each is taken for its camera.
    assert [camera.index for camera in cameras(tmp_path / "sys", tmp_path / "dev")] == [2, 10]
    assert cameras(tmp_path / "nowhere") == []


def test_modes_are_those_of_the_driver(tmp_path: Path) -> None:
    device(tmp_path, 0, "Webcam", 0)
    found = modes(tmp_path / "dev" / "video0", ScriptedIoctl(()))
    rate = Fraction(30000, 1001)
    assert found == [
        Mode("YUYV", 1920, 1080, None),
        Mode("MJPG", 1280, 720, rate),
        Mode("MJPG", 640, 360, rate),
    ]
    assert str(found[1]) == "1280x720 at 29.97 fps MJPG"
    assert modes(tmp_path / "dev" / "video0") == []


@pytest.mark.parametrize("size", [(64, 48), (1280, 720), (720, 1280), (1, 1)])
def test_cards_of_every_size(size: tuple[int, int]) -> None:
    image = card(*size, "No signal", ["Камера 3 — a name that is much too long for any card that one may think of"])
    assert image.shape == (size[1], size[0], 3)
    assert image.dtype == np.uint8


def test_letterbox_keeps_all_and_the_aspect() -> None:
    image = picture(100, 40, 20)
    assert letterbox(image, 40, 20) is image
    tall = letterbox(image, 40, 40)
    assert (tall[10:30] == 100).all()
    assert not tall[:10].any()
    assert not tall[30:].any()
    wide = letterbox(image, 100, 20)
    assert (wide[:, 30:70] == 100).all()
    assert not wide[:, :30].any()
