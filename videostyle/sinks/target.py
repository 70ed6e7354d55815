"""Where a video goes: a file that appears when it is whole, a recording that survives a crash, an address."""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av

from videostyle.address import is_address, shown
from videostyle.errors import SinkError, UsageError
from videostyle.output import check_target, hidden_name, partial_name, write_error

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".m3u8": "hls"}
"""Suffix -> FFmpeg's name of the container."""

SCHEMES = {
    "rtmp": "flv", "rtmps": "flv", "srt": "mpegts", "udp": "mpegts", "tcp": "mpegts", "rtp": "rtp_mpegts",
    "rtsp": "rtsp", "http": "mpegts", "https": "mpegts",
}  # fmt: skip
"""Scheme of an address -> FFmpeg's name of the container that is sent there; a .m3u8 of a web server is HLS."""

MP4_FAMILY = ("mp4", "mov")
# Every player opens a plain MP4, not every one a fragmented one (Windows' own and many editors show no length or
# cannot seek). Where FFmpeg can, a recording is fragmented while it grows and turned into a plain one at its end, in
# place; where not, a fragmented file that a crash cannot spoil is worth more than a plain one that it can.
_HYBRID = "+hybrid_fragmented+frag_keyframe"
_FRAGMENTED = "+frag_keyframe+empty_moov+default_base_moof"
_ANSWER_WITHIN = 3
_ATTEMPTS = 3
_HLS_SECONDS = 2
_INDEX_SHARE = 0.02
"""Of a film, no more than that is its index: 16 bytes a frame and a sound packet."""


class Target:
    """A place for one video. name: in messages. container: FFmpeg's name of what is written. suffix: as files have it.

    address: what FFmpeg opens, with its muxer and the muxer's options. alone: it holds pictures only.
    global_header: the encoder must give its parameters apart from the pictures, where FFmpeg does not see that itself.
    late: the header is not written before there is a picture.
    """

    alone = False
    global_header = False
    late = False

    def __init__(self, name: str, container: str, address: str) -> None:
        self.name, self.container, self.address = name, container, address
        self.muxer = container
        self.options: dict[str, str] = {}
        self.suffix = ""

    def check_room(self, least: int) -> None:
        """Raises SinkError where there is no room for so many bytes more, and for the index of what was written."""

    def settle(self, complete: bool) -> str:
        """Puts what was written, and closed, where it belongs; returns where that is. Raises SinkError."""
        return self.name

    def discard(self) -> None:
        """Takes away what was written."""

    def salvage(self) -> str | None:
        """After a failure on the way: where something usable is left, if anything."""
        self.discard()
        return None

    def failure(self, exc: Exception) -> SinkError:
        """What an error of FFmpeg or the system means here."""
        return SinkError(f"{self.name} cannot be written: {getattr(exc, 'strerror', None) or exc}")


class FileTarget(Target):
    """A file, hidden until it is whole; after an interruption its playable part is NAME.partial.EXT."""

    def __init__(self, path: Path, *, force: bool) -> None:
        container = container_of(path)
        check_target(path, force=force)
        self.path, self._written = path, self._place(path)
        super().__init__(str(path), container, f"file:{self._written}")
        self.suffix = ".mp4" if path.suffix.lower() == ".m4v" else path.suffix.lower()

    def check_room(self, least: int) -> None:
        try:
            disk, written = shutil.disk_usage(self.path.parent), self._written.stat().st_size
        except OSError:  # writing itself will say
            return
        if disk.total > 0 and disk.free < least + written * _INDEX_SHARE:
            raise self.failure(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def settle(self, complete: bool) -> str:
        target = self.path if complete else self._partial()
        try:
            os.replace(self._written, target)
        except OSError as exc:
            self.discard()
            raise write_error(exc, self.path) from exc
        return str(target)

    def discard(self) -> None:
        self._written.unlink(missing_ok=True)

    def failure(self, exc: Exception) -> SinkError:
        return write_error(exc, self.path) if isinstance(exc, OSError) else super().failure(exc)

    def _place(self, path: Path) -> Path:
        return hidden_name(path)

    def _partial(self) -> Path:
        return partial_name(self.path)


class RecordingTarget(FileTarget):
    """A file of a live source: in sight as NAME.partial.EXT while it grows, and playable whenever the power goes.

    At most the last two seconds or so are lost then, and what the system has not brought to the disk yet. An older
    partial is left alone: it is what is left of a recording that nobody could repeat.
    """

    # FFmpeg's hybrid MP4 crashes where a file ends that has a header and no picture.
    late = True

    def __init__(self, path: Path, *, force: bool) -> None:
        super().__init__(path, force=force)
        self.options["flush_packets"] = "1"
        if self.container in MP4_FAMILY:
            self.options["movflags"] = _HYBRID if _has_movflag("hybrid_fragmented") else _FRAGMENTED
        if self.container in ("matroska", "webm"):
            self.options["cluster_time_limit"] = "1000"

    def salvage(self) -> str | None:
        return str(self._written)

    def _place(self, path: Path) -> Path:
        return partial_name(path)

    def _partial(self) -> Path:
        return self._written


class PlaylistTarget(Target):
    """An HLS playlist in a folder, with its segments beside it; of a live source only the newest are kept."""

    alone = True

    def __init__(self, path: Path, *, live: bool, force: bool) -> None:
        check_target(path, force=force)
        segments = re.compile(rf"{re.escape(path.stem)}\d+\.ts")
        taken = min((each for each in path.parent.iterdir() if segments.fullmatch(each.name)), default=None)
        if taken is not None and not force:
            raise UsageError(f"{taken}, a segment of such a playlist, exists already; choose another name, or --force")
        # FFmpeg does not find old segments again, to delete them, under an address that begins with file:
        super().__init__(str(path), "hls", str(path.absolute()))
        self._path = path
        self.options = hls_options(live)

    def discard(self) -> None:
        self._path.unlink(missing_ok=True)

    def failure(self, exc: Exception) -> SinkError:
        return write_error(exc, self._path) if isinstance(exc, OSError) else super().failure(exc)


class AddressTarget(Target):
    """An address that is sent to, by a thread of FFmpeg's: neither connecting nor a slow network stops the program.

    While the network is too slow, pictures are left out up to the next keyframe; a broken connection is tried again for
    a few seconds before it is an error of the next write. A server that stopped answering can hold up the end of the
    stream, and with it the program, for three seconds. Messages leave out the last part of the path: it may be a key.
    """

    alone = True

    def __init__(self, address: str, *, live: bool) -> None:
        parts = urlsplit(address)
        scheme = parts.scheme.lower()
        if scheme not in SCHEMES:
            known = ", ".join(f"{name}://" for name in SCHEMES)
            raise UsageError(f"{shown(address, key=True)}: streams go to {known} or a playlist .m3u8")
        self._scheme = scheme
        hls = parts.path.lower().endswith(".m3u8")
        super().__init__(shown(address, key=True), "hls" if hls else SCHEMES[scheme], address)
        self.global_header = self.container in ("flv", "rtsp")
        inner = {"rw_timeout": str(_ANSWER_WITHIN * 1_000_000)}
        if hls:
            inner |= hls_options(live) | {"method": "PUT"}
        if self.container == "flv":
            inner["flvflags"] = "no_duration_filesize"  # there is nothing to go back to
        if self.container == "rtsp":
            inner["rtsp_transport"] = "tcp"
        self.muxer = "fifo"
        self.options = {
            "fifo_format": self.container,
            "format_opts": ":".join(f"{key}={value}" for key, value in inner.items()),
            "attempt_recovery": "1",
            "max_recovery_attempts": str(_ATTEMPTS),
            "recovery_wait_time": "1",
            "drop_pkts_on_overflow": "1" if live else "0",
            "restart_with_keyframe": "1",
        }

    def failure(self, exc: Exception) -> SinkError:
        if isinstance(exc, av.error.ProtocolNotFoundError):
            return SinkError(f"{self.name}: the FFmpeg of PyAV was built without {self._scheme}://; send elsewhere")
        reason = getattr(exc, "strerror", None) or type(exc).__name__
        return SinkError(f"{self.name} takes no stream ({reason}): check the address, and that something listens there")


def target_of(spec: str | Path, *, live: bool, force: bool) -> Target:
    """The target that ``spec`` names, and refuses nothing later: UsageError for an unknown suffix or scheme, an
    existing file without ``force``, and a folder that is missing or cannot be written."""
    if is_address(spec):
        return AddressTarget(str(spec), live=live)
    path = Path(spec)
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the output a file name, or say images:FOLDER")
    if container_of(path) == "hls":
        return PlaylistTarget(path, live=live, force=force)
    return RecordingTarget(path, force=force) if live else FileTarget(path, force=force)


def container_of(path: Path) -> str:
    """FFmpeg's name of the container of a file; UsageError for a suffix that is none."""
    suffix = path.suffix.lower()
    if suffix not in CONTAINERS:
        raise UsageError(f"{path}: video is written as {', '.join(CONTAINERS)}; not as {suffix or 'no suffix'}")
    return CONTAINERS[suffix]


def hls_options(live: bool) -> dict[str, str]:
    """Of FFmpeg's hls muxer: a window of a few seconds for a live source, a film that stays for any other."""
    common = {"hls_time": str(_HLS_SECONDS)}
    if live:
        return common | {"hls_list_size": "6", "hls_flags": "delete_segments+independent_segments"}
    return common | {"hls_playlist_type": "vod", "hls_flags": "independent_segments"}


@cache
def _has_movflag(flag: str) -> bool:
    """Whether this FFmpeg knows a flag of its MP4 muxer; PyAV 14 may come with one that is older than some."""
    try:
        with av.open(io.BytesIO(), "w", format="mp4", container_options={"movflags": f"+{flag}"}) as container:
            stream: Any = container.add_stream("mpeg4", rate=1)
            stream.width = stream.height = 16
            stream.pix_fmt = "yuv420p"
            for packet in (*stream.encode(av.VideoFrame(16, 16, "yuv420p")), *stream.encode(None)):
                container.mux_one(packet)
    except (av.FFmpegError, ValueError):
        return False
    return True
