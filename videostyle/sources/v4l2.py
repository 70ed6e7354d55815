"""Cameras of Linux: their names, which of their devices give pictures, and in which modes. No library is needed."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

SYSFS = Path("/sys/class/video4linux")
DEV = Path("/dev")

Ioctl = Callable[[int, int, bytearray], object]
"""``fcntl.ioctl`` with a buffer that it changes in place; raises OSError."""

# Linux UAPI, linux/videodev2.h. Sizes and offsets are the same on 32 and 64 bits.
QUERYCAP, ENUM_FMT, ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS = 0x80685600, 0xC0405602, 0xC02C564A, 0xC034564B
_CAPTURE = 0x1 | 0x1000  # V4L2_CAP_VIDEO_CAPTURE, and its kind for several planes
_DEVICE_CAPS = 0x80000000
_BUF_TYPE_CAPTURE = 1
_DISCRETE = 1


@dataclass(frozen=True, slots=True)
class Camera:
    """A device that gives pictures. index: N of /dev/videoN. name: as its driver calls it."""

    index: int
    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Mode:
    """One way a camera can work. rate: the highest at this size in frames per second, None where it does not say."""

    format: str
    width: int
    height: int
    rate: Fraction | None

    def __str__(self) -> str:
        rate = "" if self.rate is None else f" at {float(self.rate):g} fps"
        return f"{self.width}x{self.height}{rate} {self.format}"


def cameras(sysfs: Path = SYSFS, dev: Path = DEV, ioctl: Ioctl | None = None) -> list[Camera]:
    """The capture devices of this machine by number; empty where there is no Video4Linux.

    A webcam has other devices too, for metadata; those are left out.
    """
    found = []
    for folder in sysfs.glob("video*"):
        number = folder.name.removeprefix("video")
        if number.isdecimal() and _captures(folder, dev / folder.name, ioctl):
            found.append(Camera(int(number), _read(folder / "name") or folder.name, dev / folder.name))
    return sorted(found, key=lambda camera: camera.index)


def modes(path: Path, ioctl: Ioctl | None = None) -> list[Mode]:
    """What a capture device offers, the largest first; empty where it does not tell. Raises OSError if unreadable."""
    with _opened(path, ioctl) as (file, call):
        found = {mode for kind in _formats(file, call) for mode in _modes(file, call, kind)}
    return sorted(found, key=lambda mode: (-mode.width * mode.height, -(mode.rate or 0), mode.format))


def _captures(folder: Path, path: Path, ioctl: Ioctl | None) -> bool:
    try:
        with _opened(path, ioctl) as (file, call):
            answer = bytearray(104)
            call(file, QUERYCAP, answer)
    except OSError:
        # It cannot be asked (busy, no permission), but it shall be listed: a webcam's first device is its camera.
        return _read(folder / "index") in ("0", "")
    every, own = struct.unpack_from("<II", answer, 84)
    return bool((own if every & _DEVICE_CAPS else every) & _CAPTURE)


def _formats(file: int, call: Ioctl) -> Iterator[bytes]:
    for index in range(64):
        query = bytearray(64)
        struct.pack_into("<II", query, 0, index, _BUF_TYPE_CAPTURE)
        if not _asked(call, file, ENUM_FMT, query):
            return
        yield bytes(query[44:48])


def _modes(file: int, call: Ioctl, kind: bytes) -> Iterator[Mode]:
    name = kind.decode("ascii", "replace").strip()
    for index in range(256):
        query = bytearray(44)
        struct.pack_into("<I4s", query, 0, index, kind)
        if not _asked(call, file, ENUM_FRAMESIZES, query):
            return
        (shape,) = struct.unpack_from("<I", query, 8)
        if shape == _DISCRETE:
            width, height = struct.unpack_from("<II", query, 12)
        else:  # a range: its upper end, and there is only one
            _, width, _, _, height, _ = struct.unpack_from("<6I", query, 12)
        yield Mode(name, width, height, _rate(file, call, kind, width, height))
        if shape != _DISCRETE:
            return


def _rate(file: int, call: Ioctl, kind: bytes, width: int, height: int) -> Fraction | None:
    rates = []
    for index in range(64):
        query = bytearray(52)
        struct.pack_into("<I4sII", query, 0, index, kind, width, height)
        if not _asked(call, file, ENUM_FRAMEINTERVALS, query):
            break
        shape, seconds, parts = struct.unpack_from("<III", query, 16)  # a range starts with its shortest interval
        if seconds and parts:
            rates.append(Fraction(parts, seconds))
        if shape != _DISCRETE:
            break
    return max(rates, default=None)


def _asked(call: Ioctl, file: int, request: int, query: bytearray) -> bool:
    try:
        call(file, request, query)
    except OSError as exc:
        if exc.errno in (errno.EINVAL, errno.ENOTTY):
            return False  # the list is over, or there is none
        raise
    return True


@contextmanager
def _opened(path: Path, ioctl: Ioctl | None) -> Iterator[tuple[int, Ioctl]]:
    if ioctl is None:
        import fcntl  # not on Windows

        ioctl = fcntl.ioctl
    file = os.open(path, os.O_RDWR | getattr(os, "O_NONBLOCK", 0))
    try:
        yield file, ioctl
    finally:
        os.close(file)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
