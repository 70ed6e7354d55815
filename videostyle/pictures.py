"""Still pictures in and out: any file that Pillow reads becomes upright 8-bit sRGB, and back."""

from __future__ import annotations

import io
import os
import struct
import threading
import warnings
from pathlib import Path

import numpy as np
from PIL import Image as Pil
from PIL import ImageCms, UnidentifiedImageError

from videostyle.errors import SinkError, SourceError, UsageError
from videostyle.frame import Image
from videostyle.output import check_target, hidden_name, write_error

MAX_PIXELS = 200_000_000
"""Pictures above this are refused: 200 megapixels take 0.6 GB as RGB, and about three times that on the way."""

FORMATS = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF",
}  # fmt: skip
"""Suffix -> Pillow's name of the format, for writing."""

_ORIENTATION = 0x0112  # Exif 2.32, table 4
_TURNS = {
    2: Pil.Transpose.FLIP_LEFT_RIGHT, 3: Pil.Transpose.ROTATE_180, 4: Pil.Transpose.FLIP_TOP_BOTTOM,
    5: Pil.Transpose.TRANSPOSE, 6: Pil.Transpose.ROTATE_270, 7: Pil.Transpose.TRANSVERSE, 8: Pil.Transpose.ROTATE_90,
}  # fmt: skip
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error)
_OPENING = threading.Lock()


def load_picture(path: str | Path, *, max_side: int | None = None, max_pixels: int = MAX_PIXELS) -> Image:
    """uint8 RGB (H, W, 3), sRGB, upright, of any picture that Pillow reads.

    max_side: the longer side is brought down to this many pixels where it has more; JPEG files are then decoded small,
        which takes a fraction of the time and memory.
    max_pixels: more than this after that are refused.

    The orientation of the Exif block is applied, an embedded ICC profile converted, CMYK, palettes, grey and 16 bits
    are brought to 8-bit RGB, and of an animation the first picture is taken. Transparent parts become white: it is what
    viewers and paper show, and what a painting is made on.

    Raises SourceError, in one line, for what is missing, empty, truncated, no picture or too large.
    """
    path = Path(path)
    picture, turn = _open(path)
    with picture:
        try:
            if max_side is not None:
                scale = max_side / max(picture.size)
                if scale < 1:
                    picture.draft(None, (round(picture.width * scale) or 1, round(picture.height * scale) or 1))
            _check_size(path, picture, max_pixels)
            picture.load()
            rgb = _to_srgb(picture)
        except _BROKEN as exc:
            raise SourceError(f"{path} is damaged or cut short ({exc}); get the file again") from exc
        except MemoryError as exc:
            raise SourceError(f"{path}: not enough memory for {picture.width}x{picture.height} pixels") from exc
    if max_side is not None and max(rgb.size) > max_side:
        rgb.thumbnail((max_side, max_side), Pil.Resampling.LANCZOS, reducing_gap=3.0)
    return np.array(rgb.transpose(turn) if turn is not None else rgb)


def _open(path: Path) -> tuple[Pil.Image, Pil.Transpose | None]:
    if path.is_dir():
        raise SourceError(f"{path} is a folder, not a picture")
    # Pillow warns of large pictures and odd metadata through process-wide switches. The size is checked below instead,
    # where it can be said what to do.
    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Pil.MAX_IMAGE_PIXELS = Pil.MAX_IMAGE_PIXELS, None
        try:
            picture = Pil.open(path)
            try:
                return picture, _TURNS.get(picture.getexif().get(_ORIENTATION, 1))
            except _BROKEN:  # an Exif block that cannot be read says nothing of the picture
                return picture, None
        except FileNotFoundError as exc:
            raise SourceError(f"{path}: there is no such file") from exc
        except UnidentifiedImageError as exc:
            empty = path.stat().st_size == 0
            raise SourceError(f"{path} is empty" if empty else f"{path} is not a picture that can be read") from exc
        except _BROKEN as exc:
            reason = getattr(exc, "strerror", None) or exc
            raise SourceError(f"{path} cannot be read as a picture: {reason}") from exc
        finally:
            Pil.MAX_IMAGE_PIXELS = limit


def _check_size(path: Path, picture: Pil.Image, max_pixels: int) -> None:
    pixels = picture.width * picture.height
    if pixels > max_pixels:
        raise SourceError(
            f"{path} has {picture.width}x{picture.height} pixels ({pixels / 1e6:.0f} megapixels), more than the "
            f"limit of {max_pixels / 1e6:.0f}; scale it down first"
        )


def _to_srgb(picture: Pil.Image) -> Pil.Image:
    """RGB, sRGB, no alpha."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
        return _from_deep_grey(picture).convert("RGB")
    profile = picture.info.get("icc_profile")
    transparent = "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "RGBa", "La")
    if transparent:
        picture = picture.convert("RGBA")
    elif picture.mode == "P":
        picture = picture.convert("RGB")
    picture = _apply_profile(picture, profile)
    if transparent:
        return Pil.alpha_composite(Pil.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _apply_profile(picture: Pil.Image, profile: bytes | None) -> Pil.Image:
    target = "RGBA" if picture.mode == "RGBA" else "RGB"
    try:
        if picture.mode == "LAB":
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        elif profile:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if picture.mode in ("RGB", "RGBA") and "sRGB" in ImageCms.getProfileDescription(source):
                return picture
        else:
            return picture
        srgb = ImageCms.createProfile("sRGB")
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        converted = ImageCms.profileToProfile(picture, source, srgb, renderingIntent=intent, outputMode=target)
    except (ImageCms.PyCMSError, OSError):
        return picture  # a profile for another kind of pixels, or a broken one: the plain numbers are the best guess
    return converted if converted is not None else picture


def _from_deep_grey(picture: Pil.Image) -> Pil.Image:
    """8-bit grey of 16-bit, 32-bit and float grey."""
    values = np.asarray(picture)
    if values.dtype.kind == "f":
        values = np.nan_to_num(values)
        scale = 255.0 if values.max(initial=0) <= 1 else 1.0
        return Pil.fromarray(np.clip(values * scale + 0.5, 0, 255).astype(np.uint8))
    if picture.mode == "I" and values.max(initial=0) <= 255:
        return Pil.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    return Pil.fromarray((np.clip(values.astype(np.int64), 0, 65535) / 257 + 0.5).astype(np.uint8))


def save_picture(path: str | Path, image: Image, *, quality: int = 95, force: bool = False) -> None:
    """Writes uint8 RGB (H, W, 3) to PNG, JPEG, WebP or TIFF by the suffix of ``path``; there whole or not at all.

    quality: 1..100, for JPEG and WebP. force: overwrite an existing file.

    Raises UsageError for an unknown suffix, an existing file or a quality out of range, SinkError where writing fails.
    """
    path = Path(path)
    check_picture_target(path, force=force)
    if not 1 <= quality <= 100:
        raise UsageError(f"quality {quality} is out of range; it goes from 1 to 100")
    write_picture(path, image, quality)


def encode_jpeg(image: Image, quality: int = 92) -> bytes:
    """The JPEG file of uint8 RGB (H, W, 3), in full chroma. quality: 1..100."""
    out = io.BytesIO()
    Pil.fromarray(np.ascontiguousarray(image)).save(out, "JPEG", quality=quality, subsampling=0)
    return out.getvalue()


def decode_jpeg(data: bytes) -> Image:
    """uint8 RGB (H, W, 3) from ``encode_jpeg``. Raises SourceError for what is damaged."""
    try:
        with Pil.open(io.BytesIO(data)) as picture:
            return np.array(picture.convert("RGB"))
    except _BROKEN as exc:
        raise SourceError(f"a picture inside a file is damaged ({exc}); get the file again") from exc


def check_picture_target(path: Path, *, force: bool) -> None:
    """What :func:`save_picture` refuses of a path, before there is a picture to save."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: pictures are written as {', '.join(FORMATS)}; not as {path.suffix or 'no suffix'}")
    check_target(path, force=force)


def write_picture(path: Path, image: Image, quality: int = 95) -> None:
    """Writes without asking, through a hidden file; SinkError where that fails."""
    kind = FORMATS[path.suffix.lower()]
    temporary = hidden_name(path)
    try:
        picture = Pil.fromarray(np.ascontiguousarray(image))
        if kind == "JPEG":
            # Full chroma: a painting's saturated strokes fray under 4:2:0.
            picture.save(temporary, kind, quality=quality, subsampling=0)
        elif kind == "TIFF":
            picture.save(temporary, kind, compression="tiff_adobe_deflate")
        else:
            picture.save(temporary, kind, quality=quality)
        os.replace(temporary, path)
    except OSError as exc:
        if exc.errno is None:  # Pillow's own: the codec refused
            height, width = image.shape[:2]
            raise SinkError(f"{path}: {kind} cannot hold {width}x{height} pixels; use .png or .tif") from exc
        raise write_error(exc, path) from exc
    except (ValueError, MemoryError) as exc:
        raise SinkError(f"{path} cannot be written as {kind}: {exc}") from exc
    finally:
        temporary.unlink(missing_ok=True)
