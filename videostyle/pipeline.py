"""capture | style | write: one source, one filter and one sink, a thread each, with short channels between.

Capture and style get threads of their own; writing happens in the thread that calls ``Pipeline.run``, because windows
on macOS and Windows must be fed from the thread that made them. Channels hold one or two frames, so memory does not
depend on the length of the video.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from types import FrameType

from videostyle.channel import Channel
from videostyle.frame import Frame, FrameSink, FrameSource
from videostyle.stats import Latencies, RunReport, peak_rss_mb

_TICK = 0.01


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands: frames written so far, frames expected (None if unknown), frames dropped, seconds so far.

    latency: seconds from the capture of the newest frame until it was written.
    """

    frames: int
    expected: int | None
    dropped: int
    seconds: float
    latency: float = 0.0


class Pipeline:
    """One run from a source through a filter into a sink; it closes both, however the run ends.

    Files: no frame is dropped and order holds. Live sources: the capture channel lets its oldest frame go while styling
    is slower than the camera, so that what is shown is never older than need be.

    style: makes painted frames of the captured ones, in order, and runs in a thread of its own. Where ``paint`` takes
        one frame, ``partial(map, paint)`` takes them all.
    progress: called in the thread of ``run`` after each frame that was written; it may call ``stop``.
    idle: called in the thread of ``run`` every few milliseconds while there is no frame to write, so that a window
        answers keys when the camera stalls; it may call ``stop`` too.
    grace: seconds that a stage may take to end once the run is over, before it is left behind and the report says so.
    """

    def __init__(
        self,
        source: FrameSource,
        style: Callable[[Iterator[Frame]], Iterator[Frame]],
        sink: FrameSink,
        progress: Callable[[Progress], None] | None = None,
        *,
        idle: Callable[[], None] | None = None,
        grace: float = 30.0,
    ) -> None:
        live = source.info.live
        self._source = source
        self._style = style
        self._sink = sink
        self._progress = progress
        self._idle = idle
        self._live = live
        self._grace = grace
        self._captured: Channel[Frame] = Channel(1 if live else 2, drop_oldest=live)
        self._styled: Channel[Frame] = Channel(1 if live else 2)
        self._errors: list[BaseException] = []
        self._stopped = False
        self._interrupted = False
        self._frames_in = 0
        self._frames_out = 0
        self._size: tuple[int, int] | None = None
        self._latencies = Latencies()

    @property
    def frames_out(self) -> int:
        """Frames that the sink has taken so far; readable after a failure too."""
        return self._frames_out

    def stop(self) -> None:
        """End the run as if the source had ended. From any thread, at any time.

        What was captured from a file is still written; of a live source only the frame that is being painted is.
        """
        self._stopped = True
        if self._live:
            self._captured.abort()
        self._source.close()

    def run(self) -> RunReport:
        """Take the source to its end, or to ``stop``, and report. A pipeline runs once.

        Raises the first exception of any stage with its traceback, KeyboardInterrupt on Ctrl-C. Either way the
        threads have ended and the sink was closed with ``complete=False``. In the main thread Ctrl-C waits for the
        frame that is being written, so that a recording stays whole; a second one does not.
        """
        started = perf_counter()
        threads = [
            threading.Thread(target=self._capture, name="capture", daemon=True),
            threading.Thread(target=self._paint, name="style", daemon=True),
        ]
        with self._ctrl_c_between_frames():
            try:
                for thread in threads:
                    thread.start()
                self._write(started)
                if self._interrupted:
                    raise KeyboardInterrupt
            except Exception as error:
                self._remember(error)
            except BaseException as error:
                self._errors.insert(0, error)
            left_behind = self._wind_up(threads)
        self._raise_first()
        seconds = perf_counter() - started
        return RunReport(
            frames_in=self._frames_in,
            frames_out=self._frames_out,
            dropped=self._captured.dropped,
            seconds=seconds,
            fps=self._frames_out / seconds,
            latency_ms=self._latencies.summary(),
            size=self._size,
            peak_rss_mb=peak_rss_mb(),
            output=self._sink.output,
            notes=(*self._source.notes, *self._sink.notes, *left_behind),
        )

    def _capture(self) -> None:
        try:
            for frame in self._source:
                self._frames_in += 1
                if not self._captured.put(frame) or self._stopped:
                    break
        except BaseException as error:
            self._remember(error)
            self._captured.fail(error)
        else:
            self._captured.end()

    def _paint(self) -> None:
        try:
            for painted in self._style(self._captured):
                if not self._styled.put(painted):
                    break
        except BaseException as error:
            self._remember(error)
            self._styled.fail(error)
        else:
            self._styled.end()
        finally:
            self._captured.abort()

    def _write(self, started: float) -> None:
        for frame in self._painted():
            self._sink.write(frame)
            now = perf_counter()
            self._latencies.add((now - frame.captured_at) * 1000)
            self._frames_out += 1
            self._size = frame.image.shape[1], frame.image.shape[0]
            if self._progress is not None:
                expected = self._source.info.frames
                dropped, latency = self._captured.dropped, now - frame.captured_at
                self._progress(Progress(self._frames_out, expected, dropped, now - started, latency))

    def _painted(self) -> Iterator[Frame]:
        while True:
            while self._idle is not None and not self._styled.wait(_TICK):
                self._idle()
            frame = next(self._styled, None)
            if frame is None:
                return
            yield frame

    def _wind_up(self, threads: list[threading.Thread]) -> list[str]:
        """End all stages, close both ends, and say which threads did not come home."""
        self._styled.abort()
        self._captured.abort()
        for close in (self._source.close, lambda: self._sink.close(complete=not self._errors)):
            try:
                close()
            except Exception as error:
                self._remember(error)
        for thread in threads:
            if thread.ident is not None:
                thread.join(self._grace)
        late = [thread.name for thread in threads if thread.is_alive()]
        return [f"the {name} thread did not end within {self._grace:g} s" for name in late]

    def _remember(self, error: BaseException) -> None:
        if not any(error is known for known in self._errors):
            self._errors.append(error)

    def _raise_first(self) -> None:
        if self._interrupted and not self._errors:
            raise KeyboardInterrupt
        if self._errors:
            first, *later = self._errors
            for error in later:
                first.add_note(f"Later, on the way out: {type(error).__name__}: {error}")
            raise first

    @contextmanager
    def _ctrl_c_between_frames(self) -> Iterator[None]:
        """Also the SIGTERM of a job in the background, where Ctrl-C is ignored and a handler raises for it."""
        ctrl_c, term = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        number, before = (signal.SIGTERM, term) if ctrl_c is signal.SIG_IGN else (signal.SIGINT, ctrl_c)
        ours = threading.current_thread() is threading.main_thread()
        if not ours or not callable(before) or (number == signal.SIGINT and before is not signal.default_int_handler):
            yield
            return

        def on_signal(number: int, place: FrameType | None) -> None:
            try:
                before(number, place)
            except KeyboardInterrupt:
                if self._interrupted:
                    raise
                self._interrupted = True
                self._styled.abort()

        signal.signal(number, on_signal)
        try:
            yield
        finally:
            signal.signal(number, before)
