"""Frames as numbered pictures in a folder."""

from __future__ import annotations

from pathlib import Path

from videostyle.errors import SinkError, UsageError
from videostyle.frame import Closing, Frame, StreamInfo
from videostyle.output import check_target, write_error
from videostyle.pictures import FORMATS, write_picture


class ImagesSink(Closing):
    """Writes frame 7 as ``000007.png`` into a folder, which is made if need be.

    spec: the folder; the folder that holds it must exist.
    suffix: format of the pictures, as in :func:`videostyle.pictures.save_picture`. quality: 1..100, for JPEG and WebP.
    force: overwrite numbered pictures that are there already.

    Each picture appears under its name only when whole. An interruption leaves all pictures written so far.
    """

    def __init__(
        self, spec: str | Path, info: StreamInfo, *, suffix: str = ".png", quality: int = 95, force: bool = False
    ) -> None:
        self.notes: list[str] = []
        self._folder = Path(spec)
        self._suffix = suffix if suffix.startswith(".") else f".{suffix}"
        if self._suffix not in FORMATS:
            raise UsageError(f"pictures are written as {', '.join(FORMATS)}; not as {suffix!r}")
        if not 1 <= quality <= 100:
            raise UsageError(f"quality {quality} is out of range; it goes from 1 to 100")
        self._size, self._quality = (info.width, info.height), quality
        try:
            self._folder.mkdir(exist_ok=True)
        except FileExistsError as exc:
            raise UsageError(f"{self._folder} is a file; give the pictures a folder") from exc
        except FileNotFoundError as exc:
            raise SinkError(f"the folder {self._folder.parent} does not exist; create it first") from exc
        except OSError as exc:
            raise write_error(exc, self._folder) from exc
        if not force and next(self._folder.glob(f"[0-9]*{self._suffix}"), None) is not None:
            raise UsageError(f"{self._folder} holds numbered pictures already; empty it, or overwrite with --force")
        check_target(self._name(0), force=True)

    @property
    def output(self) -> str | None:
        return str(self._folder)

    def write(self, frame: Frame) -> None:
        height, width = frame.image.shape[:2]
        if (width, height) != self._size:
            raise SinkError(f"frame {frame.index} is {width}x{height}; this stream is {self._size[0]}x{self._size[1]}")
        write_picture(self._name(frame.index), frame.image, self._quality)

    def close(self, complete: bool = True) -> None:
        pass

    def _name(self, index: int) -> Path:
        return self._folder / f"{index:06d}{self._suffix}"
