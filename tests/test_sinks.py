import itertools
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.clips import NTSC, make_clip, packets, video_times
from videostyle.errors import SinkError, UsageError
from videostyle.frame import Frame, StreamInfo
from videostyle.sinks import SINKS, open_sink
from videostyle.sinks.encoders import ENCODERS, working_encoders, works
from videostyle.sinks.file import FileSink
from videostyle.sinks.subtitles import payload_of, text_of
from videostyle.sources import open_source
from videostyle.sources.file import FileSource
from videostyle.sources.synthetic import SyntheticSource
from videostyle.sources.synthetic import test_picture as picture_of

INFO = StreamInfo(64, 48, Fraction(1, 30), rate=Fraction(30))


def frames_of(count: int, size: tuple[int, int] = (64, 48)) -> Iterator[Frame]:
    for index in range(count):
        yield Frame(picture_of(*size, index), index, index, Fraction(1, 30), 0.0)


def copy(source_path: Path, target: Path, **options: Any) -> FileSink:
    with FileSource(source_path) as source, FileSink(target, source.info, **options) as sink:
        for frame in source:
            sink.write(frame)
    return sink


# A sink is added here when it is added to the table; windows and cameras bring their own way of faking a device.
TARGETS = {"file": "out.mp4", "images": "out"}


@pytest.fixture(params=sorted(TARGETS))
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{request.param}:{tmp_path / TARGETS[request.param]}"


def test_every_sink_of_files_has_a_contract_test() -> None:
    assert {"file", "images"} <= set(SINKS)
    assert set(TARGETS) <= set(SINKS)


def test_what_a_sink_takes_comes_back(target: str) -> None:
    sink = open_sink(target, INFO)
    for frame in frames_of(12):
        sink.write(frame)
    sink.close()
    sink.close()
    assert sink.output == target.split(":", 1)[1]
    assert sink.notes == []
    back = list(open_source(sink.output))
    assert len(back) == 12
    for index, frame in enumerate(back):
        assert np.abs(frame.image.astype(int) - picture_of(64, 48, index)).mean() < 8


def test_a_sink_refuses_another_size(target: str) -> None:
    sink = open_sink(target, INFO)
    with pytest.raises(SinkError, match="is 32x32"):
        sink.write(next(frames_of(1, (32, 32))))
    sink.close(complete=False)


def test_an_existing_output_is_refused_unless_forced(target: str) -> None:
    for force in (False, True):
        sink = open_sink(target, INFO, force=force)
        for frame in frames_of(3):
            sink.write(frame)
        sink.close()
        with pytest.raises(UsageError, match="already"):
            open_sink(target, INFO)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_times_go_through_unchanged(tmp_path: Path, suffix: str) -> None:
    times = [40, 71, 104, 150, 151, 220, 440]
    clip = make_clip(tmp_path / "clip.mkv", times=times, time_base=Fraction(1, 1000), rate=30)
    sink = copy(clip, tmp_path / f"out{suffix}")
    assert video_times(Path(sink.output or "")) == [Fraction(time, 1000) for time in times]


def test_29_97_is_a_fraction(tmp_path: Path) -> None:
    copy(make_clip(tmp_path / "clip.mp4", frames=90), tmp_path / "out.mp4")
    assert video_times(tmp_path / "out.mp4") == [i / NTSC for i in range(90)]
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].average_rate == NTSC
        assert (container.duration or 0) / 1e6 == pytest.approx(float(90 / NTSC), abs=0.03)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_all_sound_tracks_are_copied_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=60, audio=("aac", "ac3"), audio_start=Fraction(1, 10))
    sink = copy(clip, tmp_path / f"out{suffix}")
    assert sink.notes == []
    for track in (0, 1):
        before, after = packets(clip, "audio", track), packets(tmp_path / f"out{suffix}", "audio", track)
        assert [data for data, _ in before] == [data for data, _ in after]
        tolerance = Fraction(1, 1000) if suffix == ".mkv" else Fraction(0)
        assert max(abs(a - b) for (_, a), (_, b) in zip(before, after, strict=True)) <= tolerance


def test_sound_that_does_not_fit_is_encoded_again(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", frames=60, audio=("pcm_s16le",))
    for suffix, codec in ((".mp4", "aac"), (".webm", "opus")):
        sink = copy(clip, tmp_path / f"out{suffix}")
        assert any("pcm_s16le does not go into" in note for note in sink.notes)
        with av.open(str(tmp_path / f"out{suffix}")) as container:
            sound = container.streams.audio[0]
            assert sound.codec_context.codec.canonical_name == codec
            heard = [frame for frame in container.decode(sound)]
            assert sum(frame.samples for frame in heard) / 48000 == pytest.approx(2, abs=0.1)
            assert (heard[0].pts or 0) * float(sound.time_base or 0) == pytest.approx(0, abs=0.03)


def test_sound_lies_beside_the_pictures_it_belongs_to(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=300, rate=30)
    copy(clip, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as container:
        times = {"video": 0.0, "audio": 0.0}
        for packet in container.demux():
            if packet.size and packet.pts is not None:
                times[packet.stream.type] = float(packet.pts * packet.time_base)
                assert abs(times["video"] - times["audio"]) < 1


def test_a_part_takes_its_own_sound(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=100, rate=25, chapters=[(0, 2, "one"), (2, 4, "two")])
    with FileSource(clip, start=1.0, duration=2.0) as source, FileSink(tmp_path / "out.mp4", source.info) as sink:
        for frame in source:
            sink.write(frame)
    assert len(video_times(tmp_path / "out.mp4")) == 50
    sound = [time for _, time in packets(tmp_path / "out.mp4", "audio")]
    assert 0 <= sound[0] < 0.03
    assert 1.9 < sound[-1] < 2
    whole = [data for data, _ in packets(clip, "audio")]
    first = whole.index(packets(tmp_path / "out.mp4", "audio")[0][0])
    assert first == pytest.approx(48, abs=2)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [chapter["end"] * (chapter["time_base"] or 0) for chapter in container.chapters()] == [1, 2]


def test_a_part_reads_no_further_than_it_goes(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=500, rate=25)
    with FileSource(clip, start=1.0, duration=2.0) as source, FileSink(tmp_path / "out.mp4", source.info) as sink:
        for frame in source:
            sink.write(frame)
        beside = sink._accompaniment
        assert beside is not None
        beside.advance(None)
        assert next(beside._packets, None) is not None


def test_metadata_chapters_and_languages_are_kept(tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "clip.mkv", frames=60, metadata={"title": "A day"}, chapters=[(0, 1, "one"), (1, 2, "two")]
    )
    for suffix in (".mp4", ".mkv", ".webm"):
        copy(clip, tmp_path / f"out{suffix}")
        with av.open(str(tmp_path / f"out{suffix}")) as container:
            metadata = {key.lower(): value for key, value in container.metadata.items()}
            assert metadata["title"] == "A day"
            assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["one", "two"]


def test_chapters_of_mp4_are_not_said_to_be_left_out(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=60, chapters=[(0, 1, "one"), (1, 2, "two")])
    with av.open(str(clip)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio", "data"]
    assert copy(clip, tmp_path / "out.mp4").notes == []


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "mov_text"), (".mkv", "subrip"), (".webm", "webvtt")])
def test_text_subtitles_go_along(tmp_path: Path, suffix: str, codec: str) -> None:
    lines = [(0.2, 0.8, "Hello <i>there</i>"), (1.0, 1.6, "Zweite Zeile: äöü")]
    clip = make_clip(tmp_path / "clip.mkv", frames=60, subtitles=lines)
    sink = copy(clip, tmp_path / f"out{suffix}")
    assert len(sink.notes) == (0 if suffix == ".mkv" else 1) + (suffix == ".webm")
    found = [(text_of(data, codec), time) for data, time in packets(tmp_path / f"out{suffix}", "subtitles")]
    assert [(text, round(float(time), 6)) for text, time in found if text] == [
        ("Hello there", 0.2),
        ("Zweite Zeile: äöü", 1.0),
    ]


def test_subtitles_of_mp4_come_back_to_matroska(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", frames=60, subtitles=[(0.5, 1, "one"), (1.2, 1.5, "two")])
    copy(clip, tmp_path / "a.mp4")
    copy(tmp_path / "a.mp4", tmp_path / "b.mkv")
    assert [data.decode() for data, _ in packets(tmp_path / "b.mkv", "subtitles")] == ["one", "two"]


@pytest.mark.parametrize("codec", ["ass", "subrip", "webvtt", "mov_text"])
def test_text_of_knows_the_codecs(codec: str) -> None:
    payload = {
        "ass": rb"0,0,Default,,0,0,0,,{\i1}One{\i0}, two\Nthree",
        "subrip": b"<b>One</b>, two\nthree",
        "webvtt": b"<c.red>One</c>, two\nthree",
        "mov_text": payload_of("One, two\nthree", "mov_text") + b"\0\0\0\x0cstyl",
    }[codec]
    assert text_of(payload, codec) == "One, two\nthree"


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
@pytest.mark.parametrize("full", ["tv", "pc"])
def test_colours_survive_and_are_tagged(tmp_path: Path, matrix: str, full: str) -> None:
    info = StreamInfo(64, 48, Fraction(1, 30), Fraction(30), colorspace=matrix, color_range=full)
    for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (190, 120, 90)):
        image = np.full((48, 64, 3), colour, np.uint8)
        with FileSink(tmp_path / "out.mp4", info, quality=4, force=True) as sink:
            sink.write(Frame(image, 0, 0, Fraction(1, 30), 0.0))
        with FileSource(tmp_path / "out.mp4") as source:
            assert (source.info.colorspace, source.info.color_range) == (matrix, full)
            np.testing.assert_allclose(next(iter(source)).image.mean(axis=(0, 1)), colour, atol=4)


def test_pixel_aspect_is_kept(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=3, aspect=Fraction(128, 117), audio=False)
    for suffix in (".mp4", ".mkv"):
        copy(clip, tmp_path / f"out{suffix}")
        with FileSource(tmp_path / f"out{suffix}") as source:
            assert source.info.pixel_aspect == Fraction(128, 117)
    sink = copy(clip, tmp_path / "out.webm")
    assert "pixels are square now" in sink.notes[0]
    with FileSource(tmp_path / "out.webm") as source:
        assert (source.info.width, source.info.height) == (70, 48)


def test_odd_sizes(tmp_path: Path) -> None:
    with SyntheticSource("161x121", frames=3) as source:
        for name, size in (("out.webm", (161, 121)), ("out.mp4", (162, 122))):
            with FileSink(tmp_path / name, source.info) as sink:
                for frame in source:
                    sink.write(frame)
            with FileSource(tmp_path / name) as back:
                assert (back.info.width, back.info.height) == size
                image = next(iter(back)).image
            assert np.abs(image[:121, :161].astype(int) - picture_of(161, 121, 0)).mean() < 8
            assert sink.notes == [] if name == "out.webm" else "even sizes only" in sink.notes[0]


def test_phones_portrait_has_no_rotation_left(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", rotation=90, audio=False)
    copy(clip, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height, frame.rotation) == (48, 64, 0)


def test_an_interruption_leaves_a_playable_part_beside_it(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=90, rate=30)
    with FileSource(clip) as source:
        sink = FileSink(tmp_path / "out.mp4", source.info)
        for frame in itertools.islice(source, 45):
            sink.write(frame)
        with pytest.raises(KeyboardInterrupt), sink:
            raise KeyboardInterrupt
    assert sink.output is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "out.partial.mp4"]
    assert sink.output == str(tmp_path / "out.partial.mp4")
    assert sink.notes == [f"interrupted: the first 1.5 seconds are in {sink.output}"]
    assert len(video_times(Path(sink.output))) == 45
    assert packets(Path(sink.output), "audio")[-1][1] == pytest.approx(1.5, abs=0.05)


def test_an_interruption_overwrites_no_part_of_another(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=30)
    (tmp_path / "out.partial.mp4").write_text("mine")
    with FileSource(clip) as source:
        sink = FileSink(tmp_path / "out.mp4", source.info)
        for frame in itertools.islice(source, 10):
            sink.write(frame)
        sink.close(complete=False)
    assert (tmp_path / "out.partial.mp4").read_text() == "mine"
    assert sink.output == str(tmp_path / "out.partial-2.mp4")


def test_a_broadcast_whose_clock_runs_on_begins_at_its_beginning(tmp_path: Path) -> None:
    first = 100 * 90000
    clip = make_clip(
        tmp_path / "clip.ts",
        times=[first + 3600 * index for index in range(50)],
        time_base=Fraction(1, 90000),
        rate=25,
        audio_start=Fraction(100),
    )
    before = {kind: [float(time) for _, time in packets(clip, kind)] for kind in ("audio", "video")}
    copy(clip, tmp_path / "out.mp4")
    times = [float(time) for time in video_times(tmp_path / "out.mp4")]
    sound = [float(time) for _, time in packets(tmp_path / "out.mp4", "audio")]
    assert 0 <= times[0] < 0.1
    assert times[-1] < 2.1
    assert len(sound) == len(before["audio"])
    assert sound[0] - times[0] == pytest.approx(before["audio"][0] - min(before["video"]), abs=0.003)


def test_nothing_is_visible_before_it_is_whole_and_nothing_without_frames(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "out.mp4", INFO)
    for frame in frames_of(5):
        sink.write(frame)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == []
    sink.close()
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    empty = FileSink(tmp_path / "empty.mp4", INFO)
    empty.close()
    assert empty.output is None
    assert empty.notes == ["no frames came, so no file was written"]
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    refused: list[tuple[str | Path, dict[str, Any], type[Exception], str]] = [
        (tmp_path / "out.avi", {}, UsageError, r"\.mp4, \.m4v, \.mov, \.mkv, \.webm"),
        (tmp_path / "out", {}, UsageError, "no suffix"),
        (tmp_path / "nowhere" / "out.mp4", {}, UsageError, "does not exist"),
        (clip, {"force": True}, UsageError, "is the input itself"),
        (tmp_path / "out.mp4", {"codec": "theora"}, UsageError, "unknown; there are h264"),
        (tmp_path / "out.webm", {"codec": "h264"}, UsageError, "holds VP9 and AV1"),
        (f"file:{tmp_path}", {}, UsageError, "is a folder"),
        ("tape:1", {}, UsageError, "there are file, images"),
        (tmp_path / "out.mp4", {"colour": 1}, UsageError, "no such option"),
    ]
    for spec, options, error, message in refused:
        with FileSource(clip) as source, pytest.raises(error, match=message) as caught:
            open_sink(spec, source.info, **options)
        assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_names_with_colons_and_percents(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4").rename(tmp_path / "12:30 100%d.mp4")
    assert copy(clip, tmp_path / "out: ä %03d.mp4").output == str(tmp_path / "out: ä %03d.mp4")
    assert len(packets(tmp_path / "out: ä %03d.mp4", "audio")) == len(packets(clip, "audio"))


def test_times_must_rise(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "out.mp4", INFO)
    first = next(frames_of(1))
    sink.write(first)
    with pytest.raises(SinkError, match="not later than"):
        sink.write(first)
    sink.close(complete=False)


@pytest.fixture
def guarded() -> Iterator[Path]:
    """A folder that can be read and not written, seen by somebody who is not root: root may write everywhere."""
    if os.name != "posix":
        pytest.skip("permissions as POSIX has them")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o700)


def test_a_folder_without_permission_is_said(guarded: Path) -> None:
    assert list(guarded.iterdir()) == []
    with pytest.raises(UsageError, match="no permission"):
        FileSink(guarded / "out.mp4", INFO)


def fill(path: Path, *, live: bool = False) -> None:
    noise = np.random.default_rng(0)
    info = StreamInfo(320, 240, Fraction(1, 30), rate=Fraction(30), live=live)
    with FileSink(path, info, quality=1, preset="ultrafast") as sink:
        for index in range(120):
            sink.write(Frame(noise.integers(0, 255, (240, 320, 3), np.uint8), index, index, Fraction(1, 30), 0.0))


def test_a_file_that_may_not_grow_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(SinkError, match="write to another disk"):
            fill(tmp_path / "out.mp4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    with small_disk(tmp_path, "200k"):
        for name in ("out.mp4", "out.mkv"):
            with pytest.raises(SinkError, match=f"{name}: the disk of .* is full"):
                fill(tmp_path / name)
            assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_what_was_written_before_the_disk_is_full_plays(tmp_path: Path, suffix: str, live: bool) -> None:
    with small_disk(tmp_path, "8M"):
        with pytest.raises(SinkError, match=r"the disk of .* is full"):
            fill(tmp_path / f"out.{suffix}", live=live)
        partial = tmp_path / f"out.partial.{suffix}"
        assert [path.name for path in tmp_path.iterdir()] == [partial.name]
        assert partial.stat().st_size > 2_000_000
        times = [round(30 * time) for time in video_times(partial)]  # Matroska counts in milliseconds
        assert times == [*range(len(times))]
        assert len(times) > 10


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9"])
def test_encoders_keep_every_frame(tmp_path: Path, codec: str, capfd: pytest.CaptureFixture[str]) -> None:
    sink = FileSink(tmp_path / "out.mp4", INFO, codec=codec)
    for frame in frames_of(20):
        sink.write(frame)
    sink.close()
    assert video_times(tmp_path / "out.mp4") == [Fraction(i, 30) for i in range(20)]
    assert capfd.readouterr().err == ""


def test_an_encoder_that_is_not_here_names_those_that_are(tmp_path: Path) -> None:
    there = working_encoders()
    assert "libx264" in there
    missing = next(name for name in ("h264_videotoolbox", "h264_nvenc", "h264_mf") if not works(name))
    with pytest.raises(SinkError, match=r"there are: .*libx264"):
        FileSink(tmp_path / "out.mp4", INFO, codec=missing)
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_is_here_names_the_options_it_refuses(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"libx264 cannot encode .*check --quality and --preset"):
        FileSink(tmp_path / "out.mp4", INFO, preset="fastest")
    assert list(tmp_path.iterdir()) == []


def test_encoders_of_apple_are_told_their_quality_as_ffmpeg_tells_them() -> None:
    options = ENCODERS["h264_videotoolbox"].options(50, None)
    assert options["global_quality"] == str(50 * 118)  # FF_QP2LAMBDA
    assert options["flags"] == "+qscale"


CLIPS = [
    "01_webcam_woman_signing.mkv",
    "02_webcam_man_signing.mkv",
    "04_phone_selfie_talk_audio.mp4",
    "06_street_bikes_traffic.mp4",
    "07_man_talking_in_car.mp4",
    "08_phone_portrait_rot90_vfr_hevc.mp4",
    pytest.param("09_hdr10_pq_10bit_av1_portrait.mp4", marks=pytest.mark.slow),
    pytest.param("11_yuv444_cockatoo.mp4", marks=pytest.mark.slow),
    "12_interlaced_tff_h264_opengop.mp4",
    "14_odd_size_vp9.webm",
    "15_vfr_webcam_hand.webm",
    "16_person_kitchen_handheld_opus.mkv",
    "17_forward_motion_rail_vp9.webm",
    "19_damaged_starts_on_nonkeyframe.mp4",
    pytest.param("21_dolbyvision84_hlg_10bit_rot90.mp4", marks=pytest.mark.slow),
    "22_truncated_55pct.mkv",
]


@pytest.mark.parametrize("name", CLIPS)
def test_real_clips_keep_their_times_and_sound(shared: Path, tmp_path: Path, name: str) -> None:
    clip, out = shared / "clips" / name, tmp_path / "out.mp4"
    with FileSource(clip) as source, FileSink(out, source.info, preset="ultrafast") as sink:
        times = []
        for frame in source:
            times.append(frame.pts * frame.time_base)
            sink.write(frame)
    assert video_times(out) == times
    with av.open(str(clip)) as before, av.open(str(out)) as after:
        assert len(before.streams.audio) == len(after.streams.audio)
        tracks = len(before.streams.audio)
    for track in range(tracks):
        assert packets(clip, "audio", track) == packets(out, "audio", track)
