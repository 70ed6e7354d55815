import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pil
from PIL import ImageCms

from videostyle.errors import SinkError, SourceError, UsageError
from videostyle.pictures import FORMATS, load_picture, save_picture
from videostyle.sources.synthetic import test_picture as picture_of


def saved(path: Path, picture: Pil.Image, **options: Any) -> Path:
    picture.save(path, **options)
    return path


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGB", (10, 200, 30), (10, 200, 30)),
        ("L", 77, (77, 77, 77)),
        ("1", 1, (255, 255, 255)),
        ("LA", (100, 255), (100, 100, 100)),
        ("RGBA", (200, 0, 0, 255), (200, 0, 0)),
        ("RGBA", (200, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
        ("P", 3, None),
        ("I;16", 257 * 90, (90, 90, 90)),
    ],
)
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str, colour: Any, expected: tuple[int, ...] | None) -> None:
    picture = Pil.new(mode, (5, 3), colour)
    if mode == "P":
        picture.putpalette([value for index in range(256) for value in (index * 20 % 256, 9, 8)])
        expected = (60, 9, 8)
    assert expected is not None
    image = load_picture(saved(tmp_path / "picture.png", picture))
    assert image.shape == (3, 5, 3)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    np.testing.assert_allclose(image[1, 2], expected, atol=1)


def test_float_grey_goes_by_its_range(tmp_path: Path) -> None:
    picture = Pil.fromarray(np.full((2, 2), 0.5, np.float32))
    assert load_picture(saved(tmp_path / "picture.tif", picture))[0, 0, 0] == 128


def test_transparent_palette_goes_on_white(tmp_path: Path) -> None:
    picture = Pil.new("P", (4, 4), 0)
    picture.putpalette([255, 0, 0, 0, 255, 0])
    image = load_picture(saved(tmp_path / "picture.png", picture, transparency=0))
    assert image.min() == 255


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :8] = (250, 0, 0)
    upright[8:, 24:] = (0, 0, 250)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Pil.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "picture.png", Pil.fromarray(np.ascontiguousarray(stored)), exif=exif)
    np.testing.assert_array_equal(load_picture(path), upright)


def test_cmyk_jpeg_of_adobe_is_not_inverted(tmp_path: Path) -> None:
    path = saved(tmp_path / "picture.jpg", Pil.new("CMYK", (16, 16), (0, 255, 255, 0)), quality=95)
    assert b"Adobe" in path.read_bytes()[:200]
    red, green, blue = load_picture(path)[8, 8]
    assert red > 240
    assert green < 20
    assert blue < 20


def test_embedded_profile_is_converted(tmp_path: Path) -> None:
    # A profile that says: linear light. Its middle grey is far brighter than that of sRGB.
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    data = bytearray(profile.tobytes())
    # Replaces the tone curves of the profile by the identity: a curveType with no entries (ICC.1, 10.6).
    count = struct.unpack(">I", data[128:132])[0]
    for index in range(count):
        entry = 132 + 12 * index
        name, offset, _ = struct.unpack(">4sII", data[entry : entry + 12])
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            data[offset : offset + 12] = struct.pack(">4sII", b"curv", 0, 0)
            data[entry + 8 : entry + 12] = struct.pack(">I", 12)
        if name == b"desc":
            start = data.find("sRGB".encode("utf-16-be"), offset)
            data[start : start + 8] = "test".encode("utf-16-be")
    picture = Pil.new("RGB", (4, 4), (55, 55, 55))
    image = load_picture(saved(tmp_path / "picture.png", picture, icc_profile=bytes(data)))
    np.testing.assert_allclose(image[0, 0], 128, atol=2)


def test_broken_profile_and_exif_are_passed_over(tmp_path: Path) -> None:
    picture = Pil.new("RGB", (4, 4), (55, 66, 77))
    path = saved(tmp_path / "picture.jpg", picture, quality=100, icc_profile=b"nonsense", exif=b"Exif\0\0II*\0\xff\xff")
    np.testing.assert_allclose(load_picture(path)[0, 0], (55, 66, 77), atol=2)


def test_of_an_animation_the_first_picture_is_taken(tmp_path: Path) -> None:
    frames = [Pil.new("RGB", (6, 6), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(load_picture(tmp_path / "moving.gif")[0, 0], (255, 0, 0))


def test_one_pixel_is_a_picture(tmp_path: Path) -> None:
    assert load_picture(saved(tmp_path / "dot.png", Pil.new("RGB", (1, 1), "red"))).tolist() == [[[255, 0, 0]]]


def test_max_side_shrinks_but_never_grows(tmp_path: Path) -> None:
    path = saved(tmp_path / "picture.jpg", Pil.fromarray(picture_of(400, 100, 0)), quality=95)
    assert load_picture(path, max_side=100).shape == (25, 100, 3)
    assert load_picture(path, max_side=1000).shape == (100, 400, 3)


@pytest.mark.slow
def test_a_hundred_megapixels_load(tmp_path: Path) -> None:
    path = saved(tmp_path / "large.jpg", Pil.new("RGB", (12000, 8400), (80, 90, 100)))
    assert load_picture(path).shape == (8400, 12000, 3)
    assert load_picture(path, max_side=1200).shape == (840, 1200, 3)


def test_more_than_the_limit_is_refused_in_one_line(tmp_path: Path) -> None:
    path = saved(tmp_path / "large.png", Pil.new("1", (16000, 13000)))
    with pytest.raises(SourceError, match=r"16000x13000 pixels \(208 megapixels\).*limit of 200; scale it down"):
        load_picture(path)


def truncated(path: Path, picture: Pil.Image) -> Path:
    picture.save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".gif", ".bmp"])
def test_a_truncated_picture_is_an_error(tmp_path: Path, suffix: str) -> None:
    path = truncated(tmp_path / f"cut{suffix}", Pil.fromarray(picture_of(200, 150, 0)))
    with pytest.raises(SourceError, match=f"cut{suffix}") as caught:
        load_picture(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_picture_is_said_in_one_line(tmp_path: Path) -> None:
    for path, message in [
        (tmp_path / "missing.png", "there is no such file"),
        (tmp_path, "is a folder"),
        (written(tmp_path / "empty.png", b""), "is empty"),
        (written(tmp_path / "text.png", b"words\n" * 30), "is not a picture that can be read"),
        (written(tmp_path / "head.png", b"\x89PNG\r\n\x1a\n"), "head.png"),
    ]:
        with pytest.raises(SourceError, match=message) as caught:
            load_picture(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_saved_pictures_come_back(tmp_path: Path, suffix: str) -> None:
    picture = picture_of(40, 30, 7)
    save_picture(tmp_path / f"out{suffix}", picture)
    back = load_picture(tmp_path / f"out{suffix}")
    lossless = suffix in (".png", ".tif", ".tiff")
    assert np.abs(back.astype(int) - picture).mean() < (1e-9 if lossless else 6)
    assert [path.name for path in tmp_path.iterdir()] == [f"out{suffix}"]


def test_save_refuses_before_it_writes(tmp_path: Path) -> None:
    picture = picture_of(8, 8, 0)
    with pytest.raises(UsageError, match=r"\.png, \.jpg"):
        save_picture(tmp_path / "out.xyz", picture)
    with pytest.raises(UsageError, match="goes from 1 to 100"):
        save_picture(tmp_path / "out.jpg", picture, quality=0)
    with pytest.raises(UsageError, match="does not exist"):
        save_picture(tmp_path / "nowhere" / "out.png", picture)
    (tmp_path / "out.png").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        save_picture(tmp_path / "out.png", picture)
    assert (tmp_path / "out.png").read_text() == "mine"
    save_picture(tmp_path / "out.png", picture, force=True)
    np.testing.assert_array_equal(load_picture(tmp_path / "out.png"), picture)


def test_a_format_that_is_too_small_for_the_picture_says_so(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"out\.webp"):
        save_picture(tmp_path / "out.webp", np.zeros((1, 17000, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_pillows_own_limit_is_left_alone() -> None:
    # Loading lifts Pillow's process-wide limit for a moment only.
    limit = Pil.MAX_IMAGE_PIXELS
    with pytest.raises(SourceError):
        load_picture("missing.png")
    assert limit == Pil.MAX_IMAGE_PIXELS


def test_real_photos_load(shared: Path) -> None:
    paths = [path for path in sorted(shared.glob("photos/**/*")) if path.suffix.lower() in (".jpg", ".jpeg", ".png")]
    for path in paths[:6]:
        image = load_picture(path, max_side=256)
        assert max(image.shape) == 256
        assert image.std() > 5
