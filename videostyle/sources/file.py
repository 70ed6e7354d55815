"""Video files as a stream of upright RGB frames with the times of the file."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.video.stream import VideoStream

from videostyle.address import is_address, shown
from videostyle.errors import SourceError, UsageError
from videostyle.frame import Closing, Frame, StreamInfo
from videostyle.sources.deinterlace import Deinterlacer
from videostyle.yuv import RgbReader, tags_of, upright

# A seek lands on a keyframe, and the pictures right after one may lean on those before it (open GOP): a run-up of
# decoded and thrown-away pictures makes the first one that counts a clean one.
_RUN_UP = 10
CLOCKED = ("mpegts", "mpeg")
"""Containers whose time runs on from before the recording began, as FFmpeg calls them."""


class FileSource(Closing):
    """The pictures of a video file, every one, in order of their times.

    Times are the file's own (``pts`` in its ``time_base``): a variable frame rate stays variable. Rotation is applied
    to the pixels, HDR and wide colours are brought to BT.709, interlaced pictures are deinterlaced one for one.
    Pictures that cannot be decoded are stepped over; ``notes`` then says how many, complete once the stream has ended.

    spec: path of the file, or an address that FFmpeg opens (http, rtsp, srt); an address is live unless it tells how
        long it is, and its sound is not carried on.
    start, duration: seconds, to read only a part; times then count from its first frame.
    low_delay: pictures of an address come as soon as they arrive; costs speed, because threads decode no longer ahead.
    timeout: seconds without an answer after which an address is given up.

    ``ended_early`` says, once the stream has ended, whether there should have been more.

    Raises SourceError when the file holds no video that can be read.
    """

    def __init__(
        self,
        spec: str | Path,
        *,
        start: float = 0,
        duration: float | None = None,
        low_delay: bool = False,
        timeout: float = 10,
    ) -> None:
        if start < 0 or (duration is not None and duration <= 0):
            raise UsageError(f"{spec}: start must not be negative, and duration must be above zero")
        self._address = str(spec) if is_address(spec) else None
        self.path = Path(spec)
        self._name = shown(self._address) if self._address else str(spec)
        self.ended_early = False
        self.notes: list[str] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._packets = self._decoded = self._errors = 0
        self._stopped_by: str | None = None
        self._container = _connect(self._address, low_delay, timeout) if self._address else _open(self.path)
        try:
            self._stream = _video_stream(self._container, self._name)
            self._stream.thread_type = "SLICE" if low_delay else "AUTO"
            self.time_base = self._stream.time_base or Fraction(1, 90000)
            self._start, self._end = self._limits(start, duration)
            self._deinterlacer = Deinterlacer(self.time_base)
            self._pictures = self._decode()
            self._first = next(self._pictures, None)
            if self._first is None:
                raise SourceError(self._nothing())
            self._describe(self._first[0], part=start > 0 or duration is not None)
        except BaseException:
            self._container.close()
            raise

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while True:
            with self._lock:
                if self._closed.is_set():
                    return
                found = self._first or next(self._pictures, None)
                self._first = None
                if found is None:
                    self._report()
                    return
                picture, pts = found
                if (picture.width, picture.height) != self._size:
                    self._note("the size of the pictures changes on the way; all were scaled to the first one's")
                image = self._reader(picture)
            if self._turn is not None:
                image = self._turn(image)
            yield Frame(image, index, pts - self._offset, self.time_base, time.perf_counter())
            index += 1

    def close(self) -> None:
        self._closed.set()
        # Closing a container that another thread is decoding from would crash it: that step is short, wait for it.
        if self._lock.acquire(timeout=2):
            try:
                self._container.close()
            finally:
                self._lock.release()

    def _limits(self, start: float, duration: float | None) -> tuple[Fraction | None, Fraction | None]:
        """Times of the first picture that counts and of the first that no longer does, after seeking near it."""
        first = (self._stream.start_time or 0) * self.time_base + Fraction(start).limit_denominator(1000000)
        if start > 3 * _RUN_UP:
            self._container.seek(int((first - _RUN_UP) / self.time_base), stream=self._stream)
        length = None if duration is None else Fraction(duration).limit_denominator(1000000)
        return first if start else None, None if length is None else first + length

    def _decode(self) -> Iterator[tuple[av.VideoFrame, int]]:
        """Yields (picture, pts), pts strictly rising, of the part that was asked for."""
        last: int | None = None
        late: int | None = None
        step = self._step()
        # AVI knows nothing but the order of decoding, and what FFmpeg makes of it is wrong with B-frames.
        in_order = self._container.format.name == "avi"
        for picture, timed in self._progressive():
            pts = timed.pts if timed.pts is not None else timed.dts
            if late is not None:
                pts = None if timed.dts is None else timed.dts + late
            elif in_order and pts is not None and timed.dts is not None:
                late = pts - timed.dts
            pts = pts if pts is not None else (last + step if last is not None else 0)
            if last is not None and pts <= last:
                self._note("times that do not rise were moved behind the picture before")
                pts = last + 1
            last = pts
            # Half a tick of tolerance: a start given in decimals must not lose the picture it names.
            seconds = (pts + Fraction(1, 2)) * self.time_base
            if self._end is not None and seconds >= self._end:
                return
            if self._start is None or seconds >= self._start:
                self._last_pts = pts
                yield picture, pts

    def _progressive(self) -> Iterator[tuple[av.VideoFrame, av.VideoFrame]]:
        for packet in self._demux():
            try:
                frames = packet.decode()
            except av.FFmpegError:
                self._errors += 1
                continue
            for frame in frames:
                self._decoded += 1
                yield from self._deinterlacer.push(frame)
        yield from self._deinterlacer.flush()

    def _demux(self) -> Iterator[av.Packet[VideoStream]]:
        try:
            for packet in self._container.demux(self._stream):
                self._packets += packet.size > 0 and not packet.is_discard
                yield packet
        except av.FFmpegError as exc:
            self._stopped_by = exc.strerror or type(exc).__name__

    def _step(self) -> int:
        rate = self._stream.average_rate or self._stream.guessed_rate
        return max(1, round(1 / (rate * self.time_base))) if rate else 1

    def _describe(self, first: av.VideoFrame, part: bool) -> None:
        stream = self._stream
        tags = tags_of(first, stream.codec_context)
        self._reader = RgbReader(first, tags)
        self._turn, sides = upright(first)
        self._size = first.width, first.height
        if self._reader.note:
            self._note(self._reader.note)
        stored = tags.storable(first.width, first.height)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        width, height = self._size if sides == "same" else self._size[::-1]
        rate = stream.average_rate or stream.guessed_rate
        assert self._first is not None
        self._offset = self._first[1] if part else self._clock()
        seconds = self._seconds()
        begin = self._offset * self.time_base
        if part and seconds is not None:
            last = (stream.start_time or 0) * self.time_base + Fraction(seconds)
            seconds = float(min(last, self._end or last) - begin)
        exact = stream.frames if not part else 0
        self.info = StreamInfo(
            width,
            height,
            self.time_base,
            rate=rate,
            frames=exact or (round(seconds * rate) if seconds and rate else None),
            pixel_aspect=aspect if sides == "same" else 1 / aspect,
            colorspace=stored.matrix,
            color_range=stored.range,
            color_primaries=stored.primaries,
            color_transfer=stored.transfer,
            live=self._address is not None and not self._container.duration,
            origin=None if self._address else self.path,
            origin_span=(begin, self._end) if part or begin else None,
        )

    def _clock(self) -> int:
        """Where the time of all streams begins: in broadcasts anywhere, and a film of that would begin with nothing."""
        start = self._container.start_time if self._container.format.name in CLOCKED else None
        return 0 if not start or start < 0 else int(Fraction(start, av.time_base) / self.time_base)

    def _seconds(self) -> float | None:
        """Length of the video as its header says, None where it does not say."""
        stream = self._stream
        if stream.duration:
            return float(stream.duration * self.time_base)
        for key, value in stream.metadata.items():  # Matroska keeps it in a tag, as the time of the end
            if key.upper() == "DURATION" and value.count(":") == 2:
                hours, minutes, rest = value.split(":")
                begin = float((stream.start_time or 0) * self.time_base)
                return int(hours) * 3600 + int(minutes) * 60 + float(rest) - begin
        return self._container.duration / 1e6 if self._container.duration else None

    def _report(self) -> None:
        """Adds to the notes what the whole stream was like."""
        if self._deinterlacer.used:
            self._note("interlaced pictures were deinterlaced")
        # Where a part ends, the decoder still holds pictures of packets that it was given.
        lost = self._errors if self._end is not None else max(self._errors, self._packets - self._decoded)
        # A few packets without a picture are normal in some codecs; a decoder that complains, or many, are not.
        if self._errors or lost > max(2, self._packets // 50):
            self._note(f"damaged: {lost} of {self._packets} pictures could not be decoded and are missing")
        seconds = self._seconds()
        if self._end is None and seconds is not None:
            begin = (self._stream.start_time or 0) * self.time_base
            missing = float(begin) + seconds - float((self._last_pts + self._step()) * self.time_base)
            alone = len(self._container.streams) == 1 or self._stream.duration is not None
            if self._stopped_by or (missing > max(0.1 * seconds, 0.5) and alone):
                expected = f"{self.info.frames}" if self.info.frames else "an unknown number of"
                self.ended_early = True
                self._note(f"the file ends early: {self._decoded} of about {expected} frames could be read")
        elif self._stopped_by:
            self.ended_early = True
            self._note(f"the file ends early: {self._stopped_by}")

    def _nothing(self) -> str:
        if self._packets:
            return f"{self._name}: none of its {self._packets} pictures can be decoded; the file is damaged"
        return f"{self._name}: there are no pictures in the part that was asked for"

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _connect(address: str, low_delay: bool, timeout: float) -> av.container.InputContainer:
    scheme = address.partition("://")[0].lower()
    options = {"rtsp": {"rtsp_transport": "tcp"}, "udp": {"overrun_nonfatal": "1"}}.get(scheme, {})
    if scheme in ("http", "https"):
        options = {"reconnect": "1", "reconnect_delay_max": "2"}  # goes on where the connection broke
    if low_delay:
        # Not FFmpeg's "nobuffer": it throws away what was read while probing, the first keyframe with it. Those
        # pictures are decoded faster than they are shown, so they are no delay that stays.
        options |= {"analyzeduration": "2000000"}
    try:
        return av.open(address, metadata_errors="replace", timeout=timeout, options=options)
    except av.error.ProtocolNotFoundError as exc:
        raise SourceError(f"{shown(address)}: the FFmpeg of PyAV was built without {scheme}://") from exc
    except (av.FFmpegError, OSError) as exc:
        why = exc.strerror or type(exc).__name__
        raise SourceError(f"{shown(address)} does not answer with a video: {why}") from exc


def _open(path: Path) -> av.container.InputContainer:
    if path.is_dir():
        raise SourceError(f"{path} is a folder, not a video")
    try:
        if path.stat().st_size == 0 and path.is_file():
            raise SourceError(f"{path} is empty")
        container = av.open(f"file:{path}", metadata_errors="replace")  # a name may hold a colon
    except FileNotFoundError as exc:
        raise SourceError(f"{path}: there is no such file") from exc
    except av.InvalidDataError as exc:
        with path.open("rb") as file:
            movie = b"ftyp" in file.read(16)
        why = "its index is missing, so it was cut short" if movie else "it is no video, or a damaged one"
        raise SourceError(f"{path} cannot be read as a video: {why}; get the file again") from exc
    except (av.FFmpegError, OSError) as exc:
        raise SourceError(f"{path} cannot be read as a video: {exc.strerror or exc}") from exc
    name = container.format.name
    if name.endswith("_pipe") or name in ("image2", "tty"):
        container.close()
        kind = "a text file" if name == "tty" else "a picture"
        raise SourceError(f"{path} is {kind}, not a video")
    return container


def _video_stream(container: av.container.InputContainer, name: str) -> VideoStream:
    stream = container.streams.best("video")
    covers = av.stream.Disposition.attached_pic
    if not isinstance(stream, VideoStream) or stream.disposition & covers:
        held = sorted({other.type for other in container.streams if not other.disposition & covers})
        raise SourceError(f"{name} holds no video" + (f", only {' and '.join(held)}" if held else ""))
    if stream.codec_context is None:
        raise SourceError(f"{name}: no decoder for its video; convert it to H.264 first")
    return stream
