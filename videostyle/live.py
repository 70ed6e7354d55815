"""The live session: a source painted into a window and any number of sinks behind it, steered by keys."""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain, count
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Protocol

import numpy as np

from videostyle.apprentice import Apprentice
from videostyle.controls import Controls
from videostyle.engines import StyleEngine, load_engine
from videostyle.frame import Frame, FrameSink, FrameSource, Image, StreamInfo
from videostyle.governor import Governor
from videostyle.learned import LearnedStyle
from videostyle.live_outputs import LiveOutputs, Outputs
from videostyle.painter import Painter
from videostyle.pipeline import Pipeline, Progress
from videostyle.sinks import open_sink
from videostyle.sinks.several import SeveralSinks
from videostyle.sinks.sheet import StyleSheet
from videostyle.sinks.view import View
from videostyle.stats import RunReport
from videostyle.styles import StyleBank
from videostyle.stylizer import Stylizer

CROSSFADE = 0.3
"""Seconds in which one style turns into the next: what the stylizer of a live session should be given."""
_GOVERNED = 0.9  # of a frame's interval may go into painting: capture and sinks need some of the machine too
_INFO_EVERY = 0.25
_EDGE = 10  # a tenth at each side of what the camera sees is no part of a picture that is held up


class Window(FrameSink, Protocol):
    """What a session needs of its window; see :class:`videostyle.sinks.window.WindowSink`."""

    on_key: Callable[[str], None]
    on_click: Callable[[float, float], None]
    on_close: Callable[[], None]

    def pump(self) -> None: ...
    def toggle_fullscreen(self) -> None: ...


class LiveSession:
    """One live run. It closes its source and its sinks, however it ends.

    source: live: a camera, or a file paced like one.
    stylizer: paints; its mix is where the session begins.
    names: of the styles to choose from.
    wanted: where pictures go besides the window.
    window: makes the sink in front, in the thread that makes the session and runs it; None for none.
    target_fps: rate that is held by letting the net work on smaller pictures; None leaves their size alone.
    duration: seconds until the session ends by itself.
    learn: begins to learn a style from a picture, under a name, in the background; None where that cannot be.
    told: gets lines for people, from any thread. progress: as of a pipeline.
    opener: ``videostyle.sinks.open_sink`` or its like.

    Raises what opening the outputs raises that were asked for.
    """

    def __init__(
        self,
        source: FrameSource,
        stylizer: Stylizer,
        names: tuple[str, ...],
        wanted: Outputs | None = None,
        *,
        window: Callable[[StreamInfo, View], Window] | None = None,
        target_fps: float | None = None,
        duration: float | None = None,
        learn: Callable[[Path | Image, str], Apprentice] | None = None,
        told: Callable[[str], None] = lambda line: None,
        progress: Callable[[Progress], None] = lambda step: None,
        opener: Callable[..., FrameSink] = open_sink,
    ) -> None:
        self._source, self._stylizer = source, stylizer
        self._duration, self._told, self._progress = duration, told, progress
        self._target_fps = target_fps
        self._learn = learn
        self._apprentice: Apprentice | None = None
        self._coming: tuple[LearnedStyle, StyleBank, Future[StyleEngine]] | None = None
        self._calibration = ThreadPoolExecutor(1, "calibration")
        self.view = View(StyleSheet(names))
        governor = Governor(_GOVERNED / target_fps) if target_fps else None
        self.painter = Painter(stylizer, source.info, governor=governor, sheet=self.view.sheet, told=self._say)
        self.controls = Controls(names, stylizer, self.painter, self.view, self)
        self.painter.warm_up()  # before the window: what it shows first is a painting, not a second of nothing
        info = replace(stylizer.output_info(source.info), live=True, frames=None, origin=None, origin_span=None)
        self._window = None if window is None else window(info, self.view)
        self.sinks = SeveralSinks(self._window, told=self._say)
        try:
            self.outputs = LiveOutputs(self.sinks, info, wanted or Outputs(), self._say, opener)
        except BaseException:
            self.sinks.close(complete=False)
            raise
        self._pipeline = Pipeline(source, partial(map, self._paint), self.sinks, self._step, idle=self._idle)
        self._newest: Frame | None = None
        self._seen: set[str] = set()
        self._recent: deque[tuple[float, float]] = deque(maxlen=60)
        self._info_at = 0.0
        self._started = perf_counter()
        self._stopping = False
        self.signal: int | None = None
        if self._window is not None:
            self._window.on_key, self._window.on_click = self.controls.press, self.controls.click
            self._window.on_close = self.stop

    def run(self) -> RunReport:
        """Run until the source ends, the window is closed, ``stop``, Ctrl-C, SIGTERM or the end of ``duration``.

        All of these are ends as good as any: recordings are finished under their names. Ctrl-C and SIGTERM are obeyed
        in the main thread, and ``signal`` tells which came; a second one does not wait. A sink behind the window that
        failed did not end the run: see ``failures``. Raises the first exception of capture, painting or window.
        """
        self._started = perf_counter()
        try:
            with self._obeying_signals():
                report = self._pipeline.run()
        finally:
            self._newest = None
            self.outputs.close()
            self._calibration.shutdown()
            if self._apprentice is not None:
                self._apprentice.close()
                self._told(str(self._apprentice.outcome))
        return replace(report, notes=(*report.notes, *self._governors_note()))

    @property
    def failures(self) -> list[Exception]:
        """What ended recordings, stream or virtual camera, while the others went on."""
        return self.sinks.failures

    def stop(self) -> None:
        """End the run. From any thread, at any time."""
        self._stopping = True
        self._pipeline.stop()

    def toggle_recording(self) -> None:
        self.outputs.toggle_recording()

    def toggle_camera(self) -> None:
        self.outputs.toggle_camera()

    def toggle_fullscreen(self) -> None:
        if self._window is not None:
            self._window.toggle_fullscreen()

    def toggle_mirror(self) -> bool:
        """Mirror the picture or no longer; whether it is mirrored now."""
        holder = self._source if hasattr(self._source, "mirror") else self.painter
        holder.mirror = mirror = not holder.mirror
        return mirror

    def take_snapshot(self) -> None:
        """Save what is painted now, without anything that lies over it."""
        if self._newest is not None:
            self.outputs.save(self._newest)

    def learn(self, picture: Path | Image, name: str) -> None:
        """Learn a style from a picture while the session goes on, and paint in it as soon as it can anything."""
        if self._learn is None or self._apprentice is not None:
            busy = "this session learns no styles" if self._apprentice is None else "one style at a time: it goes on"
            self._say(busy)
            return
        self._say(f"learning {name}")
        self._apprentice = self._learn(picture, name)

    def learn_view(self) -> None:
        """Learn a style from what the camera sees now, but for its edges."""
        photo = None if self._newest is None else self._newest.photo
        if photo is None:
            return
        height, width, _ = photo.shape
        shown = photo[height // _EDGE : -height // _EDGE, width // _EDGE : -width // _EDGE]
        taken = {*self.controls.names, *self._seen}
        name = next(name for name in chain(["camera"], map("camera-{}".format, count(2))) if name not in taken)
        self._seen.add(name)
        self.learn(np.ascontiguousarray(shown), name)

    def _follow(self, apprentice: Apprentice) -> None:
        """Take over what has been learned so far."""
        if self._coming is None and (style := apprentice.news()) is not None:
            bank = style.on(self._stylizer.bank)
            self._coming = style, bank, self._calibration.submit(self._engine_for, bank)
        elif self._coming is not None and self._coming[2].done():
            style, bank, engine = self._coming
            self._coming = None
            self._stylizer.engine = engine.result()
            self._stylizer.set_bank(bank)
            if style.card.name not in self.controls.names:
                self.controls.add(style.card.name)
                self.controls.choose(style.card.name)
        elif self._coming is None and apprentice.outcome is not None:
            self._say(apprentice.outcome)
            apprentice.close()
            self._apprentice = None

    def _engine_for(self, bank: StyleBank) -> StyleEngine:
        """The present engine, or where int8 would cut off what a new style needs, another one, ready to paint."""
        now = self._stylizer.engine
        if now.precision != "int8" or bank.ranges == self._stylizer.bank.ranges:
            return now
        engine = load_engine(bank, engine=now.name, precision=now.precision, device=now.device)
        width, height = self.painter.net_size
        engine(np.zeros((1, height, width, 3), np.uint8), bank.styles[-1])
        return engine

    def _paint(self, frame: Frame) -> Frame:
        painted = self.painter(frame)
        self._newest = painted
        return painted

    def _step(self, step: Progress) -> None:
        self._recent.append((perf_counter(), step.latency))
        if step.seconds - self._info_at >= _INFO_EVERY:
            self._info_at = step.seconds
            self.view.info = self._info(step)
            if self._apprentice is not None:
                self._follow(self._apprentice)
        self._progress(step)
        self._look_after()

    def _idle(self) -> None:
        if self._window is not None:
            self._window.pump()
        self._look_after()

    def _look_after(self) -> None:
        self.view.recording, self.view.camera = self.outputs.recording, self.outputs.camera
        over = self._duration is not None and perf_counter() - self._started >= self._duration
        if (over or self.signal is not None) and not self._stopping:
            self.stop()

    def _info(self, step: Progress) -> tuple[str, ...]:
        """The lines in the corner of the window."""
        (first, _), (last, _) = self._recent[0], self._recent[-1]
        fps = (len(self._recent) - 1) / (last - first) if last > first else 0.0
        latency = sum(seconds for _, seconds in self._recent) / len(self._recent)
        strength = "" if self._stylizer.strength == 1 else f"  {self._stylizer.strength:.0%}"
        width, height = self.painter.output_size
        net = self.painter.net_size
        smooth = "" if self._stylizer.smooth == "off" else f"   smoothing {self._stylizer.smooth}"
        learning = () if self._apprentice is None else (self._learning(self._apprentice),)
        smaller = "" if net == (width, height) else f"  (net at {net[0]}x{net[1]})"
        return (
            " + ".join(self._stylizer.mix.names) + strength,
            f"{fps:.1f} fps   {latency * 1000:.0f} ms   {step.dropped} dropped",
            f"{width}x{height}{smaller}{smooth}",
            *learning,
        )

    @staticmethod
    def _learning(apprentice: Apprentice) -> str:
        return f"learning {apprentice.name}: {apprentice.seconds:.0f} s"

    def _say(self, line: str) -> None:
        self.view.say(line)
        self._told(line)

    def _governors_note(self) -> tuple[str, ...]:
        governor = self.painter.governor
        if governor is None or not governor.changes:
            return ()
        width, height = (round(side * governor.least) for side in self.painter.output_size)
        times = "once" if governor.changes == 1 else f"{governor.changes} times"
        return (
            f"to hold {self._target_fps:g} fps the net changed its size {times}, down to {width}x{height}; "
            "--max-side or a lower --target-fps fixes it",
        )

    @contextmanager
    def _obeying_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def on_signal(number: int, place: FrameType | None) -> None:
            # Only noted: the run's own thread, which this has interrupted anywhere, stops when it next looks.
            if self.signal is not None:
                raise KeyboardInterrupt
            self.signal = number

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
