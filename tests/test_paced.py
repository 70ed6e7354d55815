import itertools
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clips import make_clip
from tests.web import breaking, stream, web_server, whole
from videostyle.address import shown
from videostyle.errors import SourceError, UsageError
from videostyle.frame import Frame, Image
from videostyle.sources import open_source, source_kind
from videostyle.sources.file import FileSource
from videostyle.sources.paced import PacedSource, UrlSource
from videostyle.sources.synthetic import SyntheticSource

pytestmark = pytest.mark.usefixtures("no_thread_left")

QUICK: dict[str, Any] = {"backoff": (0.02, 0.1), "timeout": 5.0}


def grey(value: int) -> Any:
    def image(index: int) -> Image:
        return np.full((48, 64, 3), value, np.uint8)

    return image


def brightness(frame: Frame) -> float:
    return float(frame.image.mean())


def transport_stream(folder: Path, value: int, frames: int = 30) -> bytes:
    options = {"bf": "0", "g": "5", "preset": "ultrafast"}
    clip = make_clip(folder / f"{value}.ts", frames=frames, rate=30, image=grey(value), audio=False, options=options)
    return clip.read_bytes()


def test_a_file_comes_at_its_own_pace_and_whole(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=12, rate=20)
    with PacedSource(clip) as source:
        assert source.info.live
        assert source.info.frames == 12
        assert source.info.origin is None
        started = time.perf_counter()
        frames = list(source)
    assert [frame.pts * frame.time_base for frame in frames] == [Fraction(i, 20) for i in range(12)]
    # Never early; how late depends on the machine.
    assert all(frame.captured_at - started >= frame.seconds - 0.001 for frame in frames)
    assert frames[-1].captured_at - frames[0].captured_at >= 0.54
    assert [frame.index for frame in frames] == list(range(12))


def test_times_go_on_over_loops(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=5, rate=50)
    with PacedSource(clip, loop=True) as source:
        assert source.info.frames is None
        frames = list(itertools.islice(source, 17))
    assert [frame.pts * frame.time_base for frame in frames] == [Fraction(i, 50) for i in range(17)]
    assert [frame.index for frame in frames] == list(range(17))
    assert np.array_equal(frames[0].image, frames[15].image)


def test_a_variable_rate_stays_variable_over_loops(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", times=[100, 131, 200], time_base=Fraction(1, 1000), rate=25, audio=False)
    with PacedSource(clip, loop=True) as source:
        times = [frame.pts for frame in itertools.islice(source, 6)]
    assert [b - a for a, b in itertools.pairwise(times)] == [31, 69, 40, 31, 69]


def test_a_pause_is_made_up_for_by_nobody(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=40, rate=20, audio=False)
    with PacedSource(clip) as source:
        frames = iter(source)
        next(frames)
        time.sleep(1.2)
        resumed = next(frames)
        later = next(itertools.islice(frames, 5, None))
    assert later.captured_at - resumed.captured_at >= 0.28


def test_a_file_waits_no_longer_when_it_is_closed(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", times=[0, 60_000], time_base=Fraction(1, 1000), rate=25, audio=False)
    source = PacedSource(clip)
    frames = iter(source)
    next(frames)
    started = time.monotonic()
    threading.Timer(0.05, source.close).start()
    assert list(frames) == []
    assert time.monotonic() - started < 10


def test_a_looping_file_that_vanishes_is_an_error(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=3, rate=30)
    with PacedSource(clip, loop=True) as source:
        frames = iter(source)
        next(frames)
        clip.unlink()
        with pytest.raises(SourceError, match="no such file"):
            list(frames)


def test_a_film_on_a_web_server_is_paced_and_ends(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=20, rate=20)
    with web_server(clip__mp4=whole(clip)) as address, UrlSource(f"{address}/clip.mp4", **QUICK) as source:
        assert source.info.live
        assert source.info.rate == 20
        started = time.perf_counter()
        frames = list(source)
    assert time.perf_counter() - started > 0.5
    assert len(frames) > 5
    assert all(a.pts < b.pts and a.index < b.index for a, b in itertools.pairwise(frames))
    assert source.notes == []


def test_a_film_starts_again_with_loop(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=10, rate=50, image=lambda index: grey(25 * index)(0))
    with web_server(clip__mp4=whole(clip)) as address:
        with UrlSource(f"{address}/clip.mp4", loop=True, **QUICK) as source:
            values = [brightness(frame) for frame in itertools.islice(source, 30)]
        assert sum(a > b for a, b in itertools.pairwise(values)) >= 2
    assert source.notes == []


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("first", [0, 150_000])
def test_a_film_that_breaks_off_half_way_is_seen_to_its_end(tmp_path: Path, first: int, ranges: bool) -> None:
    # Noise makes the file larger than what is read ahead.
    noise = np.random.default_rng(0)
    size: dict[str, Any] = {"size": (320, 240), "options": {"qp": "5", "preset": "ultrafast", "g": "5"}}
    clip = make_clip(
        tmp_path / "clip.mkv",
        rate=30,
        times=range(first, first + 30),
        audio=False,
        image=lambda index: (noise.integers(0, 60, (240, 320, 3)) + 6 * index).astype(np.uint8),
        **size,
    )
    assert clip.stat().st_size > 500_000
    answer = breaking(clip, [0.5], ranges=ranges)
    with web_server(clip__mkv=answer) as address, UrlSource(f"{address}/clip.mkv", **QUICK) as source:
        last = max(brightness(frame) for frame in source)
    assert last > 190
    assert ranges == (source.notes == [])


def test_a_stream_that_breaks_off_comes_back(tmp_path: Path) -> None:
    stay = threading.Event()
    pieces = [transport_stream(tmp_path, value) for value in (60, 180)]
    with web_server(live=stream(*pieces, then=stay)) as address, UrlSource(f"{address}/live", **QUICK) as source:
        frames = []
        for frame in source:
            frames.append(frame)
            if abs(brightness(frame) - 180) < 5:
                break
        stay.set()
    assert source.info.rate is None or source.info.rate == 30
    assert all(a.pts < b.pts and a.index < b.index for a, b in itertools.pairwise(frames))
    assert len(source.notes) == 1
    assert source.notes[0].startswith(f"{address}/live was gone once, ")


def test_without_reconnection_a_broken_stream_is_an_error(tmp_path: Path) -> None:
    with web_server(live=stream(transport_stream(tmp_path, 60))) as address:
        source = UrlSource(f"{address}/live", reconnect=False, **QUICK)
        with pytest.raises(SourceError, match="live broke off"):
            list(source)
        source.close()


def test_a_stream_that_falls_silent_shows_a_card_and_closes_at_once(tmp_path: Path) -> None:
    silent = threading.Event()
    piece = transport_stream(tmp_path, 200)
    with web_server(live=stream(piece, then=silent)) as address:
        source = UrlSource(f"{address}/live", patience=0.1, **QUICK)
        frames = iter(source)
        while brightness(next(frames)) > 100:
            pass
        started = time.monotonic()
        threading.Timer(0.05, source.close).start()
        assert len(list(frames)) < 10
        assert time.monotonic() - started < 5
        silent.set()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://127.0.0.1:9/live", "127.0.0.1:9/live does not answer with a video: Connection refused"),
        ("http://anna:secret@127.0.0.1:9/live?token=1", "http://127.0.0.1:9/live does not answer"),
        ("rtsp://127.0.0.1:9/live", "does not answer with a video: Connection refused"),
        ("gopher2://127.0.0.1:9/live", "built without gopher2://"),
    ],
)
def test_addresses_that_do_not_answer(address: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        UrlSource(address, timeout=2.0)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_address_without_a_video(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<html>no video</html>" * 100)
    with web_server(page=whole(page)) as address:
        with pytest.raises(SourceError, match="page does not answer with a video: Invalid data"):
            UrlSource(f"{address}/page")
        with pytest.raises(SourceError, match=r"does not answer with a video: .*404"):
            UrlSource(f"{address}/nothing")


def test_what_a_spec_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=3)
    monkeypatch.chdir(tmp_path)
    kinds = {
        ("clip.mp4", False): "file",
        ("clip.mp4", True): "paced",
        ("paced:clip.mp4", False): "paced",
        ("http://host/clip.mp4", False): "file",
        ("http://host/clip.mp4", True): "url",
        ("rtsp://host/1", False): "url",
        ("udp://239.0.0.1:1234", True): "url",
        ("synthetic:", True): "synthetic",
        ("webcam:logitech", True): "webcam",
        ("0", True): "webcam",
    }
    assert {key: source_kind(key[0], paced=key[1]) for key in kinds} == kinds
    clip.rename("0")
    assert source_kind("0", paced=True) == "paced"
    with pytest.raises(UsageError, match="no pace"):
        source_kind(".", paced=True)


def test_open_source_paces_what_it_is_asked_to(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=3)
    for spec, options, kind in (
        (str(clip), {"paced": True, "loop": True}, PacedSource),
        (clip, {"paced": True}, PacedSource),
        (str(clip), {}, FileSource),
        ("synthetic:64x48", {"paced": True}, SyntheticSource),
    ):
        source = open_source(spec, **options)
        source.close()
        assert isinstance(source, kind)
        assert source.info.live == bool(options)


def test_addresses_are_shown_without_secrets() -> None:
    assert shown("rtsp://anna:secret@cam.local:554/1?token=2") == "rtsp://cam.local:554/1"
    assert shown("rtmp://live.example.org/app/abcd-1234", key=True) == "rtmp://live.example.org/app/..."
    assert shown("udp://127.0.0.1:1234", key=True) == "udp://127.0.0.1:1234"
    assert shown("http://host/stream", key=True) == "http://host/stream"
