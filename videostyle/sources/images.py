"""Still pictures as a stream: one, a folder of them, or all that a pattern names."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from videostyle.errors import SourceError
from videostyle.frame import Closing, Frame, Image, StreamInfo
from videostyle.pictures import load_picture
from videostyle.sources import PICTURE_SUFFIXES


class ImagesSource(Closing):
    """The pictures of ``spec``, in the order a person would count them ("2.png" before "10.png").

    spec: a picture, a folder, or a path whose last part has ``*`` or ``?`` in it.
    rate: pictures per second of the stream.
    max_side: pictures are loaded no larger than this many pixels on their longer side.

    ``paths``: the files, in that order. The stream has the size of the first picture. A picture that cannot be read, or
    that has another size, is left out and named in ``notes``; SourceError when there is none to begin with.
    """

    def __init__(self, spec: str | Path, *, rate: Fraction | int = 25, max_side: int | None = None) -> None:
        self.notes: list[str] = []
        self.paths = _find(Path(spec))
        self._max_side = max_side
        self._closed = threading.Event()
        self._first = load_picture(self.paths[0], max_side=max_side)
        height, width = self._first.shape[:2]
        rate = Fraction(rate)
        self.info = StreamInfo(width, height, time_base=1 / rate, rate=rate, frames=len(self.paths))

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self.paths):
            if self._closed.is_set():
                return
            image = self._first if index == 0 else self._load(path)
            if image is not None:
                yield Frame(image, index, index, self.info.time_base, time.perf_counter())

    def _load(self, path: Path) -> Image | None:
        try:
            image = load_picture(path, max_side=self._max_side)
        except SourceError as exc:
            self.notes.append(f"left out: {exc}")
            return None
        height, width = image.shape[:2]
        if (width, height) != (self.info.width, self.info.height):
            size = f"{self.info.width}x{self.info.height}"
            self.notes.append(f"left out: {path} is {width}x{height}, the first picture is {size}")
            return None
        return image

    def close(self) -> None:
        self._closed.set()


def _find(spec: Path) -> list[Path]:
    if spec.is_dir():
        found = [path for path in spec.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()]
        what = "holds no pictures"
    elif "*" in spec.name or "?" in spec.name:
        found = [path for path in spec.parent.glob(spec.name) if path.is_file()] if spec.parent.is_dir() else []
        what = "names no file"
    else:
        return [spec]
    if not found:
        raise SourceError(f"{spec} {what}; pictures end in .png, .jpg, .webp, .tif and the like")
    return sorted(found, key=lambda path: [(text, int(part or 0)) for text, part in _numbers(path.name)])


def _numbers(name: str) -> list[tuple[str, str]]:
    return [(text.lower(), digits) for text, digits in re.findall(r"(\D*)(\d*)", name) if text or digits]
