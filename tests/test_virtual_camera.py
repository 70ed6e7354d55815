import itertools
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import pytest
import pyvirtualcam
from pyvirtualcam.camera import BACKENDS

from tests.cameras import Recorder, recorders
from videostyle.errors import SinkError, UsageError
from videostyle.frame import Frame, StreamInfo
from videostyle.sinks import open_sink
from videostyle.sinks.virtual_camera import DRIVERS, VirtualCameraSink, driver_hint

pytestmark = pytest.mark.usefixtures("no_thread_left")

INFO = StreamInfo(64, 48, Fraction(1, 90000), rate=Fraction(50), live=True)


class Broken:
    def __init__(self, **options: object) -> None:
        raise RuntimeError("no driver of this kind")


@pytest.fixture(autouse=True)
def backends() -> Iterator[None]:
    with recorders():
        yield


def frame(index: int, width: int = 64, height: int = 48, colour: tuple[int, int, int] | None = None) -> Frame:
    image = np.full((height, width, 3), colour or (index, index, index), np.uint8)
    return Frame(image, index, index, Fraction(1, 50), time.perf_counter())


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_frames_arrive_in_rgb_in_order_at_the_size_and_rate_of_the_stream() -> None:
    sink = VirtualCameraSink("", INFO)
    (camera,) = Recorder.opened
    assert camera.format == (64, 48, 50.0, "raw ")  # libyuv's name of R, G, B in this order
    sink.write(frame(0, colour=(200, 100, 50)))
    until(lambda: len(camera.sent) > 0)
    for index in range(1, 6):
        count = len(camera.sent)
        sink.write(frame(index))
        until(lambda count=count: len(camera.sent) > count)  # type: ignore[misc]
    sink.close()
    sink.close()
    assert tuple(camera.sent[0][1][0, 0]) == (200, 100, 50)
    values = [value for value, _ in itertools.groupby(camera.values)]
    assert values == [200, 1, 2, 3, 4, 5]
    assert camera.closed == 1
    assert sink.output == "virtual camera recorder0"
    assert sink.notes == []


def test_the_last_frame_is_repeated_at_the_rate_of_the_camera_while_none_comes() -> None:
    sink = VirtualCameraSink("", INFO)
    (camera,) = Recorder.opened
    time.sleep(0.05)
    assert camera.sent == []
    sink.write(frame(7))
    until(lambda: len(camera.sent) >= 12)
    times = [at for at, _ in camera.sent[:12]]
    sink.close()
    assert set(camera.values) == {7}
    # Never faster than asked for; how much slower depends on the machine.
    assert times[11] - times[0] >= 10 / 50


def test_what_comes_too_fast_gives_way_to_what_is_newer() -> None:
    sink = VirtualCameraSink("", INFO, rate=20)
    (camera,) = Recorder.opened
    started = time.perf_counter()
    for index in range(40):
        sink.write(frame(index))
        time.sleep(0.002)
    elapsed = time.perf_counter() - started
    sink.close()
    assert camera.values[-1] == 39
    assert camera.values == sorted(camera.values)
    assert len(camera.values) <= elapsed * 40 + 2
    assert all(b - a >= 0.024 for (a, _), (b, _) in itertools.pairwise(camera.sent[:-1]))


def test_a_camera_that_stalls_holds_up_nobody() -> None:
    sink = VirtualCameraSink("", INFO)
    (camera,) = Recorder.opened
    go_on = threading.Event()
    camera.script = lambda: go_on.wait(30)
    started = time.monotonic()
    for index in range(10):
        sink.write(frame(index))
    assert time.monotonic() - started < 5
    go_on.set()
    sink.close()
    assert camera.values[-1] == 9


def test_a_camera_that_hangs_is_left_behind_and_told() -> None:
    sink = VirtualCameraSink("", INFO)
    (camera,) = Recorder.opened
    go_on = threading.Event()
    camera.script = lambda: go_on.wait(30)
    sink.write(frame(1))
    sink.close()
    assert sink.notes == ["the virtual camera recorder0 hangs and was left behind"]
    go_on.set()


def test_a_camera_that_fails_is_an_error_of_the_next_write() -> None:
    sink = VirtualCameraSink("", INFO)
    (camera,) = Recorder.opened

    def fail() -> None:
        raise OSError("device was removed")

    camera.script = fail
    sink.write(frame(1))
    until(lambda: camera.closed == 1)
    with pytest.raises(SinkError, match="recorder0 failed: device was removed"):
        sink.write(frame(2))
    sink.close(complete=False)
    assert camera.closed == 1


def test_a_failure_after_the_last_write_is_told_by_close() -> None:
    sink = VirtualCameraSink("", INFO)
    Recorder.opened[0].script = lambda: 1 / 0
    sink.write(frame(1))
    with pytest.raises(SinkError, match="division by zero"):
        sink.close()


def test_another_size_is_fitted_into_the_camera() -> None:
    sink = VirtualCameraSink("", INFO, size=(128, 48), rate=25)
    (camera,) = Recorder.opened
    assert camera.format[:3] == (128, 48, 25.0)
    sink.write(frame(200))
    sink.close()
    picture = camera.sent[-1][1]
    assert (picture[:, 32:96] == 200).all()
    assert not picture[:, :32].any()
    assert not picture[:, 96:].any()


def test_odd_sizes_become_even_and_unknown_rates_thirty() -> None:
    sink = VirtualCameraSink("", StreamInfo(65, 49, Fraction(1, 90000)))
    assert Recorder.opened[0].format[:3] == (64, 48, 30.0)
    assert sink.notes == ["the virtual camera is 64x48: cameras have even sizes"]
    sink.write(frame(3, 65, 49))
    sink.close()


@pytest.mark.parametrize(
    ("spec", "device"), [("virtual-camera", "recorder0"), ("virtual-camera:/dev/video10", "/dev/video10")]
)
def test_specs_of_the_table(spec: str, device: str) -> None:
    sink = open_sink(spec, INFO)
    sink.close()
    assert isinstance(sink, VirtualCameraSink)
    assert Recorder.opened[0].name == device
    with pytest.raises(SinkError, match="is closed"):
        sink.write(frame(0))


def test_all_that_was_tried_is_told_in_one_line_with_what_to_install() -> None:
    BACKENDS.clear()
    pyvirtualcam.register_backend("first", Broken)
    pyvirtualcam.register_backend("second", Broken)
    with pytest.raises(SinkError) as caught:
        VirtualCameraSink("", INFO)
    said = str(caught.value)
    assert "\n" not in said
    assert "'first' backend: no driver of this kind; 'second' backend: no driver of this kind" in said
    assert said.endswith(driver_hint())
    with pytest.raises(SinkError, match="the virtual camera cam9 does not open"):
        VirtualCameraSink("cam9", INFO)
    BACKENDS.clear()
    with pytest.raises(SinkError, match="knows none for this system"):
        VirtualCameraSink("", INFO)


def test_the_hint_is_that_of_the_system() -> None:
    assert "exclusive_caps=1 card_label=videostyle" in driver_hint("linux")
    assert "OBS" in driver_hint("win32")
    assert "OBS" in driver_hint("darwin")
    assert driver_hint("plan9") == "this system has none"
    assert set(DRIVERS) == {"linux", "win32", "darwin"}


def test_what_is_no_camera_is_refused() -> None:
    with pytest.raises(UsageError, match="no backend 'carrier' here; there are recorder"):
        VirtualCameraSink("", INFO, backend="carrier")
    with pytest.raises(UsageError, match="is no size and rate"):
        VirtualCameraSink("", INFO, size=(1, 1))
    with pytest.raises(UsageError, match="no such option"):
        open_sink("virtual-camera", INFO, colour="red")
