"""Live pictures into recordings, and over networks."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.clips import make_clip, video_times
from videostyle.errors import SinkError, UsageError
from videostyle.frame import Frame, StreamInfo
from videostyle.sinks import open_sink
from videostyle.sinks.encoders import ENCODERS
from videostyle.sinks.file import FileSink
from videostyle.sinks.target import target_of
from videostyle.sources.file import FileSource
from videostyle.sources.paced import UrlSource
from videostyle.sources.synthetic import test_picture as picture_of

pytestmark = pytest.mark.usefixtures("no_thread_left")

BASE = Fraction(1, 90000)
LIVE = StreamInfo(64, 48, BASE, rate=Fraction(30), live=True)


def live_frames(times: list[float], size: tuple[int, int] = (64, 48)) -> Iterator[Frame]:
    for index, seconds in enumerate(times):
        yield Frame(picture_of(*size, index), index, round(seconds / BASE), BASE, seconds)


def record(path: Path, times: list[float], complete: bool = True) -> FileSink:
    sink = FileSink(path, LIVE, preset="ultrafast")
    for frame in live_frames(times):
        sink.write(frame)
    sink.close(complete=complete)
    return sink


def atoms(path: Path) -> list[str]:
    """The top-level atoms of an MP4 file (ISO/IEC 14496-12, 4.2)."""
    data, found, at = path.read_bytes(), [], 0
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8].decode("latin-1")
        found.append(kind)
        at += int.from_bytes(data[at + 8 : at + 16], "big") if size == 1 else size or len(data)
    return found


IRREGULAR = [0, 0.031, 0.07, 0.5, 0.52, 1.9, 3.0, 3.03, 5.5]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_recording_has_the_times_of_the_clock_from_its_first_frame(tmp_path: Path, suffix: str) -> None:
    sink = record(tmp_path / f"out{suffix}", [1000.5 + time for time in IRREGULAR])
    assert sink.output == str(tmp_path / f"out{suffix}")
    assert sink.notes == []
    assert [path.name for path in tmp_path.iterdir()] == [f"out{suffix}"]
    assert [float(time) for time in video_times(tmp_path / f"out{suffix}")] == pytest.approx(IRREGULAR, abs=0.001)
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        assert (container.duration or 0) / 1e6 == pytest.approx(5.5 + 1 / 30, abs=0.01)


def test_a_finished_recording_is_a_plain_film_for_every_player(tmp_path: Path) -> None:
    record(tmp_path / "out.mp4", [index / 30 for index in range(150)])
    found = atoms(tmp_path / "out.mp4")
    assert "moov" in found
    assert "moof" not in found


def test_keyframes_come_by_the_clock(tmp_path: Path) -> None:
    record(tmp_path / "out.mp4", [index / 4 for index in range(40)])
    with av.open(str(tmp_path / "out.mp4")) as container:
        keys = [
            packet.pts * BASE for packet in container.demux(video=0) if packet.is_keyframe and packet.pts is not None
        ]
    assert [float(key) for key in keys] == [0, 2, 4, 6, 8]


def test_an_interrupted_recording_is_the_partial_and_playable(tmp_path: Path) -> None:
    sink = record(tmp_path / "out.mp4", [index / 30 for index in range(45)], complete=False)
    assert sink.output == str(tmp_path / "out.partial.mp4")
    assert sink.notes == [f"interrupted: the first 1.5 seconds are in {sink.output}"]
    assert len(video_times(tmp_path / "out.partial.mp4")) == 45
    record(tmp_path / "out.mp4", [0, 1], complete=False)
    assert len(video_times(tmp_path / "out.partial.mp4")) == 45
    assert len(video_times(tmp_path / "out.partial-2.mp4")) == 2


def test_a_recording_without_pictures_leaves_nothing(tmp_path: Path) -> None:
    for suffix in (".mp4", ".mkv"):
        sink = record(tmp_path / f"out{suffix}", [])
        assert sink.output is None
        assert sink.notes == ["no frames came, so no file was written"]
    assert list(tmp_path.iterdir()) == []


RECORDER = """
import sys
from fractions import Fraction
from videostyle.sinks.file import FileSink
from videostyle.sources.synthetic import SyntheticSource
from videostyle.frame import StreamInfo, Frame
info = StreamInfo(160, 90, Fraction(1, 90000), rate=Fraction(30), live=True)
sink = FileSink(sys.argv[1], info, preset="ultrafast")
for frame in SyntheticSource("160x90"):
    sink.write(Frame(frame.image, frame.index, frame.index * 3000, info.time_base, 0.0))
    if frame.index == 200:
        print("now", flush=True)
        input()
"""


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_recording_survives_the_death_of_its_program(tmp_path: Path, suffix: str) -> None:
    program = [sys.executable, "-c", RECORDER, str(tmp_path / f"out{suffix}")]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    assert [path.name for path in tmp_path.iterdir()] == [f"out.partial{suffix}"]
    times = video_times(tmp_path / f"out.partial{suffix}")
    # 6.7 seconds were taken; what is lost is the part since a keyframe, and what the encoder held.
    assert 120 <= len(times) <= 200
    assert [round(time * 30) for time in times] == list(range(len(times)))


def noise(sink: FileSink, count: int) -> None:
    values = np.random.default_rng(0)
    for index in range(count):
        image = values.integers(0, 255, (240, 320, 3), np.uint8)
        sink.write(Frame(image, index, index * 9000, BASE, 0.0))
    sink.close()


def test_what_was_recorded_before_the_disk_was_full_stays(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    info = StreamInfo(320, 240, BASE, rate=Fraction(10), live=True)
    sink = FileSink(tmp_path / "out.mp4", info, preset="ultrafast")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6_000_000, hard))
    try:
        with pytest.raises(SinkError, match="write to another disk"):
            noise(sink, 300)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sink.output == str(tmp_path / "out.partial.mp4")
    assert sink.notes == [f"broken off: what was recorded until then is in {sink.output}"]
    with FileSource(tmp_path / "out.partial.mp4") as source:
        assert len(list(source)) >= 20


def test_a_live_playlist_keeps_the_newest_seconds(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "live.m3u8", LIVE, preset="ultrafast")
    for frame in live_frames([index / 10 for index in range(300)]):
        sink.write(frame)
    playlist = (tmp_path / "live.m3u8").read_text()
    sink.close()
    assert sink.notes == []
    segments = re.findall(r"^live\d+\.ts$", playlist, re.MULTILINE)
    assert 4 <= len(segments) <= 6
    assert "live0.ts" not in segments
    assert all((tmp_path / segment).exists() for segment in segments)
    assert len(list(tmp_path.glob("*.ts"))) <= 9
    lengths = [float(length) for length in re.findall(r"EXTINF:([\d.]+)", playlist)]
    assert lengths == pytest.approx([2] * len(lengths), abs=0.2)
    with FileSource(tmp_path / "live.m3u8") as source:
        assert len(list(source)) > 60


def test_a_film_as_a_playlist_stays_whole(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=150, rate=30)
    with FileSource(clip) as source, open_sink(tmp_path / "film.m3u8", source.info, preset="ultrafast") as sink:  # type: ignore[attr-defined]
        for frame in source:
            sink.write(frame)
    assert "#EXT-X-ENDLIST" in (tmp_path / "film.m3u8").read_text()
    assert len(video_times(tmp_path / "film.m3u8")) == 150
    with pytest.raises(UsageError, match="already"):
        FileSink(tmp_path / "film.m3u8", LIVE)


def test_a_playlist_overwrites_no_segments_of_another(tmp_path: Path) -> None:
    (tmp_path / "film0.ts").write_text("mine")
    with pytest.raises(UsageError, match=r"film0\.ts, a segment"):
        FileSink(tmp_path / "film.m3u8", LIVE)
    assert (tmp_path / "film0.ts").read_text() == "mine"


def test_udp_is_sent_and_received() -> None:
    address = "udp://127.0.0.1:23519"
    done = threading.Event()

    def send() -> None:
        with FileSink(address, LIVE) as sink:
            for frame in live_frames([index / 30 for index in range(3000)]):
                sink.write(frame)
                if done.wait(1 / 30):
                    return

    sender = threading.Thread(target=send)
    sender.start()
    try:
        with UrlSource(address, timeout=20.0) as source:
            assert (source.info.width, source.info.height) == (64, 48)
            frames = list(itertools.islice(source, 5))
    finally:
        done.set()
        sender.join()
    assert all(a.pts < b.pts for a, b in itertools.pairwise(frames))
    assert 80 < frames[-1].image.mean() < 180


RECEIVER = """
import json, sys
import av
found = []
print("ready", flush=True)
try:
    with av.open(sys.argv[1], options={"listen": "1"}, timeout=30) as container:
        for frame in container.decode(video=0):
            found.append(float(frame.pts * frame.time_base))
except av.FFmpegError:
    pass
print(json.dumps(found))
"""


def test_rtmp_is_sent_without_a_file_and_without_delay() -> None:
    address = "rtmp://127.0.0.1:23521/live/secret-key"
    program = [sys.executable, "-c", RECEIVER, address]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        assert receiver.stdout.readline() == "ready\n"
        sink = FileSink(address, LIVE)
        assert sink.output == "rtmp://127.0.0.1:23521/live/..."
        # It listens in a moment; until then FFmpeg tries again.
        for frame in live_frames([index / 30 for index in range(150)]):
            sink.write(frame)
            time.sleep(0.02)
        sink.close()
        found = json.loads(receiver.stdout.read())
    assert len(found) > 30
    steps = [b - a for a, b in itertools.pairwise(found)]
    assert steps == pytest.approx([1 / 30] * len(steps), abs=0.002)


def test_an_address_that_takes_nothing_is_an_error_of_writing_without_its_key() -> None:
    sink = FileSink("rtmp://127.0.0.1:9/live/secret-key", LIVE)
    deadline = time.monotonic() + 60
    with pytest.raises(SinkError, match="takes no stream") as caught:  # noqa: PT012
        for frame in live_frames([index / 30 for index in range(100_000)]):
            sink.write(frame)
            time.sleep(0.01)
            assert time.monotonic() < deadline
    sink.close(complete=False)
    assert "secret" not in str(caught.value)
    assert sink.output is None


def test_protocols_that_ffmpeg_has_not_are_named() -> None:
    if "srt" in av.library_versions:  # pragma: no cover
        pytest.skip("this FFmpeg has SRT")
    error = target_of("srt://host:9000", live=True, force=False).failure(av.error.ProtocolNotFoundError(1, "no"))
    assert "built without srt://" in str(error)


@pytest.mark.parametrize(
    ("spec", "container", "muxer"),
    [
        ("rtmp://host/app/key", "flv", "fifo"),
        ("srt://host:9000", "mpegts", "fifo"),
        ("udp://239.0.0.1:1234", "mpegts", "fifo"),
        ("rtsp://host:8554/name", "rtsp", "fifo"),
        ("https://host/live.m3u8", "hls", "fifo"),
        ("live.m3u8", "hls", "hls"),
        ("live.mkv", "matroska", "matroska"),
    ],
)
def test_schemes_and_suffixes_choose_the_container(
    spec: str, container: str, muxer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    target = target_of(spec, live=True, force=False)
    assert (target.container, target.muxer) == (container, muxer)


def test_unknown_schemes_are_refused() -> None:
    with pytest.raises(UsageError, match=r"gopher://host/app/[.]{3}: streams go to rtmp://"):
        open_sink("gopher://host/app/key", LIVE)


def test_streams_have_a_limit_of_bits_and_hold_nothing_back() -> None:
    options = ENCODERS["libx264"].streaming(1280, 720, Fraction(30))
    assert options == {"maxrate": "4147200", "bufsize": "4147200", "tune": "zerolatency"}
    context: Any = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = 64, 48, "yuv420p"
    context.time_base, context.options = BASE, ENCODERS["libx264"].options(None, None) | options
    frame = av.VideoFrame(64, 48, "yuv420p")
    frame.pts, frame.time_base = 0, BASE
    assert len(context.encode(frame)) == 1
