import itertools
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image as Pil

from tests.clips import NTSC, make_clip, video_times
from videostyle.errors import SourceError, UsageError
from videostyle.frame import Frame, Image
from videostyle.sources import SOURCES, open_source
from videostyle.sources.file import FileSource
from videostyle.sources.synthetic import SyntheticSource, test_picture

LOSSLESS: dict[str, Any] = {"codec": "ffv1", "audio": False}
HALF = {"qp": "0", "preset": "ultrafast"}


def clip_spec(folder: Path) -> str:
    return f"file:{make_clip(folder / 'clip.mkv', frames=12)}"


def pictures_spec(folder: Path) -> str:
    for index in range(12):
        Pil.fromarray(test_picture(64, 48, index)).save(folder / f"{index}.png")
    return f"images:{folder}"


# A source is added here when it is added to the table; webcams and browsers bring their own way of faking a device.
SPECS: dict[str, tuple[Callable[[Path], str], dict[str, Any]]] = {
    "file": (clip_spec, {}),
    "images": (pictures_spec, {}),
    "paced": (lambda folder: clip_spec(folder).replace("file:", "paced:"), {}),
    "synthetic": (lambda folder: "synthetic:64x48", {"frames": 12}),
}


@pytest.fixture(params=sorted(SPECS))
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    spec, options = SPECS[request.param]
    return open_source(spec(tmp_path), **options)


def test_every_source_has_a_contract_test() -> None:
    assert set(SPECS) == set(SOURCES) - {"url", "webcam"}


def test_source_yields_frames_in_order(opened: Any) -> None:
    with opened as source:
        frames = list(source)
    assert len(frames) == 12 == source.info.frames
    assert [frame.index for frame in frames] == list(range(12))
    assert all(a.pts < b.pts and a.captured_at <= b.captured_at for a, b in itertools.pairwise(frames))
    for frame in frames:
        assert frame.image.shape == (source.info.height, source.info.width, 3)
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.c_contiguous
        assert frame.time_base == source.info.time_base
    assert not np.array_equal(frames[0].image, frames[5].image)
    assert source.notes == []


def test_source_closes_twice_and_ends(opened: Any) -> None:
    frames = iter(opened)
    next(frames)
    opened.close()
    opened.close()
    assert list(frames) == []


def test_source_is_ended_by_another_thread(opened: Any) -> None:
    seen: list[Frame] = []
    reader = threading.Thread(target=lambda: [seen.append(frame) or opened.close() for frame in opened])  # type: ignore[func-returns-value]
    reader.start()
    reader.join(10)
    assert not reader.is_alive()
    assert len(seen) == 1


def test_a_live_source_is_unblocked_by_close() -> None:
    source = SyntheticSource("16x16", rate=Fraction(1, 1000), live=True)
    frames = iter(source)
    next(frames)
    threading.Timer(0.05, source.close).start()
    assert list(frames) == []


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_times_are_those_of_the_file(tmp_path: Path, suffix: str) -> None:
    path = make_clip(tmp_path / f"clip{suffix}", frames=40)
    with FileSource(path) as source:
        times = [frame.pts * frame.time_base for frame in source]
    assert times == video_times(path)
    assert source.info.rate == NTSC
    if suffix != ".mkv":
        assert times[:3] == [0, 1 / NTSC, 2 / NTSC]


def test_avi_with_b_frames_is_as_even_as_it_was(tmp_path: Path) -> None:
    path = make_clip(
        tmp_path / "clip.avi", frames=40, rate=25, options={"bf": "3", "b-adapt": "0"}, audio=["pcm_s16le"]
    )
    with FileSource(path) as source:
        times = [frame.seconds for frame in source]
    assert source.notes == []
    assert np.diff(times) == pytest.approx(1 / 25)
    assert len(times) == 40
    assert 0 <= times[0] <= 2 / 25


def test_variable_rate_stays_variable(tmp_path: Path) -> None:
    times = [0, 31, 64, 110, 111, 180, 400]
    path = make_clip(tmp_path / "clip.mkv", times=times, time_base=Fraction(1, 1000), rate=30)
    with FileSource(path) as source:
        assert [frame.pts for frame in source] == times
        assert source.info.time_base == Fraction(1, 1000)


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_rotation_is_applied_to_the_pixels(tmp_path: Path, rotation: int) -> None:
    def corner(index: int) -> Image:
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[:16, :16] = (255, 0, 0)
        return picture

    path = make_clip(
        tmp_path / "clip.mp4", image=corner, rotation=rotation, aspect=Fraction(4, 3), audio=False, options=HALF
    )
    with FileSource(path) as source:
        frame = next(iter(source))
    # Checked against ffmpeg's own autorotation: 90 in ffprobe means counterclockwise.
    y, x = {0: (0, 0), 90: (1, 0), 180: (1, 1), -90: (0, 1)}[rotation]
    picture = frame.image[:: -1 if y else 1, :: -1 if x else 1]
    assert picture[:12, :12, 0].mean() > 200
    assert picture[24:, 24:].max() < 30
    swapped = rotation in (90, -90)
    assert (source.info.width, source.info.height) == ((48, 64) if swapped else (64, 48))
    assert source.info.pixel_aspect == (Fraction(3, 4) if swapped else Fraction(4, 3))


MATRICES = {"bt709": (1, 0.2126, 0.0722), "smpte170m": (6, 0.299, 0.114), "bt470bg": (5, 0.299, 0.114)}
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (128, 64, 200), (190, 120, 90)]


def ycbcr(colour: tuple[int, int, int], kr: float, kb: float, full: bool) -> list[int]:
    """ITU-R BT.601 and BT.709, 8 bits."""
    r, g, b = (value / 255 for value in colour)
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))
    if full:
        return [min(255, round(value)) for value in (y * 255, cb * 255 + 128, cr * 255 + 128)]
    return [round(16 + 219 * y), round(128 + 224 * cb), round(128 + 224 * cr)]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", sorted(MATRICES))
def test_matrix_and_range_are_obeyed(tmp_path: Path, matrix: str, full: bool) -> None:
    number, kr, kb = MATRICES[matrix]
    for colour in COLOURS:
        tags = {"colorspace": number, "color_range": 2 if full else 1}
        planes = ycbcr(colour, kr, kb, full)
        path = make_clip(tmp_path / "clip.mkv", frames=1, planes=planes, tags=tags, audio=False, options=HALF)
        with FileSource(path) as source:
            image = next(iter(source)).image
        assert (source.info.colorspace, source.info.color_range) == (matrix, "pc" if full else "tv")
        np.testing.assert_allclose(image.reshape(-1, 3).mean(axis=0), colour, atol=3)


@pytest.mark.parametrize("luma", [16, 17, 63, 100, 126, 180, 234, 235])
def test_grey_is_rounded_not_cut_off(tmp_path: Path, luma: int) -> None:
    path = make_clip(tmp_path / "clip.mkv", frames=1, planes=(luma, 128, 128), audio=False, options=HALF)
    with FileSource(path) as source:
        assert abs(next(iter(source)).image - (luma - 16) * 255 / 219).max() <= 0.6


@pytest.mark.parametrize(("size", "matrix"), [((64, 48), "smpte170m"), ((1280, 720), "bt709")])
def test_colours_that_are_not_told_go_by_size(tmp_path: Path, size: tuple[int, int], matrix: str) -> None:
    path = make_clip(tmp_path / "clip.mp4", frames=1, size=size, audio=False)
    with FileSource(path) as source:
        assert (source.info.colorspace, source.info.color_range) == (matrix, "tv")


def test_hdr_is_tone_mapped_and_told(tmp_path: Path) -> None:
    tags = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}
    white = 64 + round(876 * 0.5807)
    options: dict[str, Any] = {"pixel_format": "yuv420p10le", "planes": (white, 512, 512), "tags": tags}
    path = make_clip(tmp_path / "clip.mkv", frames=2, **options, **LOSSLESS)
    with FileSource(path) as source:
        frames = list(source)
    assert 220 <= frames[0].image.min() <= frames[0].image.max() <= 235
    assert source.notes == ["HDR (PQ, 1000 cd/m2) was tone-mapped to 8-bit SDR with BT.709 colours"]
    assert source.info.color_transfer == source.info.colorspace == "bt709"


def test_ten_bits_of_sdr_only_lose_two(tmp_path: Path) -> None:
    options: dict[str, Any] = {"pixel_format": "yuv420p10le", "planes": (64 + 438, 512, 512)}
    path = make_clip(tmp_path / "clip.mkv", frames=1, **options, **LOSSLESS)
    with FileSource(path) as source:
        assert abs(int(next(iter(source)).image[0, 0, 0]) - 128) <= 2
        assert source.notes == []


def test_interlaced_is_deinterlaced_one_for_one(tmp_path: Path) -> None:
    options = {"x264-params": "tff=1"}
    path = make_clip(tmp_path / "clip.mp4", frames=15, options=options, rate=25, audio=False)
    with FileSource(path) as source:
        assert [frame.pts * frame.time_base for frame in source] == [Fraction(i, 25) for i in range(15)]
    assert source.notes == ["interlaced pictures were deinterlaced"]


def test_a_part_of_a_film_is_not_damaged(tmp_path: Path) -> None:
    """A decoder holds pictures back to bring them into order: those behind the part's end are not missing."""
    path = make_clip(tmp_path / "clip.mp4", frames=60, options={"bf": "3", "g": "60", "x264-params": "rc-lookahead=10"})
    with FileSource(path, duration=0.5) as source:
        assert len(list(source)) == 15
    assert source.notes == []


def test_a_part_counts_from_its_first_frame(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", frames=50, rate=25)
    with FileSource(path) as whole:
        expected = [frame.image for frame in whole][20:30]
    with FileSource(path, start=0.8, duration=0.4) as source:
        frames = list(source)
    assert [frame.seconds for frame in frames] == pytest.approx([i / 25 for i in range(10)])
    assert all(np.array_equal(frame.image, image) for frame, image in zip(frames, expected, strict=True))
    assert source.info.origin_span == (Fraction(4, 5), Fraction(6, 5))
    assert source.info.frames == 10


def test_damage_in_the_middle_is_stepped_over_and_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = make_clip(tmp_path / "clip.mkv", frames=60, codec="mpeg4", audio=False, options={"g": "10"})
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    data[third : third + 1500] = np.random.default_rng(0).integers(0, 255, 1500, np.uint8).tobytes()
    path.write_bytes(data)
    with FileSource(path) as source:
        times = [frame.seconds for frame in source]
    assert times[0] == 0
    assert times[-1] > 1.9
    assert capfd.readouterr().err == ""


def test_a_file_that_ends_early_gives_what_it_has(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", frames=60, audio=False, options={"movflags": "faststart"})
    whole = path.read_bytes()
    moved = whole if whole.find(b"moov") < whole.find(b"mdat") else b""
    if not moved:
        path.unlink()
        with av.open(str(path), "w", container_options={"movflags": "faststart"}) as container:
            stream: Any = container.add_stream("mpeg4", rate=30)
            stream.width, stream.height = 64, 48
            for index in range(60):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(test_picture(64, 48, index), format="rgb24")))
            container.mux(stream.encode(None))
        whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    with FileSource(path) as source:
        count = len(list(source))
    assert 10 < count < 55
    assert any("ends early" in note and "of about 60 frames" in note for note in source.notes)


def broken_files(folder: Path) -> dict[str, tuple[Path, str]]:
    text = folder / "notes.mp4"
    text.write_text("not a video\n" * 50)
    empty = folder / "empty.mp4"
    empty.touch()
    picture = folder / "picture.png"
    Pil.new("RGB", (8, 8)).save(picture)
    disguised = folder / "picture.mp4"
    disguised.write_bytes(picture.read_bytes())
    sound = folder / "sound.mka"
    with av.open(str(sound), "w", format="matroska") as container:
        stream: Any = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 48000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    cut = make_clip(folder / "cut.mp4")
    cut.write_bytes(cut.read_bytes()[:3000])
    return {
        "missing": (folder / "missing.mp4", "there is no such file"),
        "folder": (folder, "is a folder"),
        "text": (text, "cannot be read as a video"),
        "empty": (empty, "is empty"),
        "picture": (disguised, "is a picture, not a video"),
        "sound": (sound, "holds no video, only audio"),
        "cut": (cut, "its index is missing"),
    }


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "empty", "picture", "sound", "cut"])
def test_what_is_no_video_is_said_in_one_line(tmp_path: Path, kind: str) -> None:
    path, message = broken_files(tmp_path)[kind]
    with pytest.raises(SourceError, match=message) as caught:
        FileSource(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_pictures_of_a_folder_come_in_counting_order(tmp_path: Path) -> None:
    for index in (10, 9, 2, 1):
        Pil.new("RGB", (8, 8), (index, 0, 0)).save(tmp_path / f"{index}.png")
    Pil.new("RGB", (9, 9)).save(tmp_path / "3.png")
    (tmp_path / "4.png").write_text("no picture")
    with open_source(tmp_path) as source:  # type: ignore[attr-defined]
        assert [int(frame.image[0, 0, 0]) for frame in source] == [1, 2, 9, 10]
    assert len(source.notes) == 2
    assert "3.png is 9x9" in source.notes[0]
    with open_source(f"{tmp_path}/1*.png") as some:  # type: ignore[attr-defined]
        assert some.info.frames == 2


def test_open_source_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown kind of source 'carrier'; there are file, images"):
        open_source("carrier:pigeon")
    with pytest.raises(SourceError, match="there is no such file"):
        open_source(str(tmp_path / "missing.mp4"))
    with pytest.raises(SourceError, match="does not answer with a video"):
        open_source("http://127.0.0.1:9/clip.mp4")
    with pytest.raises(UsageError, match="no such option"):
        open_source("synthetic:16x16", colour="red")
    with pytest.raises(UsageError, match="640x360"):
        open_source("synthetic:large")
    with pytest.raises(SourceError, match="holds no pictures"):
        open_source(tmp_path)


def test_the_damaged_clips_are_told(shared: Path) -> None:
    with FileSource(shared / "clips" / "22_truncated_55pct.mkv") as source:
        assert len(list(source)) == 40
    assert source.notes == ["the file ends early: 40 of about 87 frames could be read"]
    with FileSource(shared / "clips" / "19_damaged_starts_on_nonkeyframe.mp4") as source:
        assert len(list(source)) == 27
    assert source.notes[0].startswith("damaged: 9")
    with pytest.raises(SourceError, match="cut short"):
        FileSource(shared / "clips" / "23_truncated_60pct.mp4")
