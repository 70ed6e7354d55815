"""python -m benchmarks.live: how far live pictures lag behind their source, minute after minute.

A test picture comes at 30 frames a second, is painted and handed to a sink that only looks at the clock. Latency counts
from the moment a frame leaves its source until the sink has it. The session is stopped in full run. What is checked:

- p95 <= the net's own p95 + one frame interval + 10 ms
- the last 10 s run no slower than the first 10 (within 5 %); net_drift_ms tells how far the net itself did
- the whole pipeline's rate is at least 95 % of what its slowest stage reaches alone
- memory in the second half grows by less than 10 MB
- ``stop`` ends the run within half a second
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import count
from pathlib import Path
from threading import Timer
from time import perf_counter

import numpy as np

from benchmarks.machine import describe
from videostyle.cli.common import SPINS
from videostyle.engines import StyleEngine, load_engine
from videostyle.frame import Frame, Image, StreamInfo
from videostyle.library import Library
from videostyle.live import CROSSFADE, LiveSession
from videostyle.sources.synthetic import SyntheticSource
from videostyle.styles import IDENTITY, StyleBank, StyleMix
from videostyle.stylizer import Stylizer

RATE = 30
SPAN = 10.0
MARGIN_MS = 10.0
WARM_UP = 5


class RepeatingSource(SyntheticSource):
    """Drawing a test picture takes as long as painting it: a few are drawn ahead, and come over and over."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(f"{width}x{height}", live=True, rate=RATE)
        drawn = SyntheticSource(f"{width}x{height}", frames=RATE)
        self._images: list[Image] = [frame.image for frame in drawn]

    def __iter__(self) -> Iterator[Frame]:
        start = perf_counter()
        for index in count():
            if self._closed.wait(max(0.0, start + index / RATE - perf_counter())):
                return
            yield Frame(self._images[index % RATE], index, index, Fraction(1, RATE), perf_counter())


class Clock:
    """A window that only looks at the clock."""

    output: str | None = None

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.written: list[tuple[float, float]] = []
        self.resident: list[float | None] = []
        self.on_key: Callable[[str], None] = print
        self.on_click: Callable[[float, float], None] = print
        self.on_close: Callable[[], None] = print

    def write(self, frame: Frame) -> None:
        now = perf_counter()
        if len(self.written) % RATE == 0:
            self.resident.append(resident_mb())
        self.written.append((now, 1000 * (now - frame.captured_at)))

    def close(self, complete: bool = True) -> None: ...
    def pump(self) -> None: ...
    def toggle_fullscreen(self) -> None: ...


class Timed:
    """A stylizer's engine with a watch on it."""

    def __init__(self, engine: StyleEngine) -> None:
        self._engine = engine
        self.name, self.precision, self.device = engine.name, engine.precision, engine.device
        self.lanes = engine.lanes
        self.milliseconds: list[float] = []

    def __call__(self, images: Image, vector: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Image:
        start = perf_counter()
        painted = self._engine(images, vector)
        self.milliseconds.append(1000 * (perf_counter() - start))
        return painted

    def close(self) -> None: ...


def resident_mb() -> float | None:
    status = Path("/proc/self/statm")
    if not status.exists():
        return None
    return round(int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def measure(
    engine: StyleEngine, bank: StyleBank, mix: StyleMix, size: tuple[int, int], seconds: float, smooth: str
) -> dict[str, object]:
    """One run at one size."""
    source = RepeatingSource(*size)
    timed = Timed(engine)
    stylizer = Stylizer(timed, bank, mix, crossfade=CROSSFADE, smooth=smooth)
    for frame in SyntheticSource(f"{size[0]}x{size[1]}", frames=WARM_UP):
        stylizer(frame)
    timed.milliseconds.clear()
    clocks: list[Clock] = []

    def clock(info: StreamInfo, view: object) -> Clock:
        clocks.append(Clock())
        return clocks[0]

    session = LiveSession(source, stylizer, tuple(bank.names), window=clock)
    timed.milliseconds.clear()
    asked: list[float] = []

    def stop() -> None:
        asked.append(perf_counter())
        session.stop()

    Timer(seconds, stop).start()
    report = session.run()
    stopping = 1000 * (perf_counter() - asked[0])
    written = clocks[0].written
    memory = [value for value in clocks[0].resident if value is not None]
    start, middle, end_mb = (memory[i] for i in (0, len(memory) // 2, -1)) if memory else (None, None, None)
    net = np.array(timed.milliseconds)
    latency = np.array([milliseconds for _, milliseconds in written])
    begin, end = written[0][0], written[-1][0]
    first = [ms for now, ms in written if now < begin + SPAN]
    last = [ms for now, ms in written if now > end - SPAN]
    drift = float(np.median(net[-len(last) :]) - np.median(net[: len(first)]))
    fps = (len(written) - 1) / (end - begin)
    alone = min(float(RATE), 1000 / float(net.mean()))
    bound = float(np.percentile(net, 95)) + 1000 / RATE + MARGIN_MS
    return {
        "size": f"{size[0]}x{size[1]}",
        "seconds": round(report.seconds, 1),
        "fps": round(fps, 2),
        "dropped": report.dropped,
        "net_ms": {"p50": _percentile(net, 50), "p95": _percentile(net, 95)},
        "latency_ms": {
            "p50": _percentile(latency, 50),
            "p95": _percentile(latency, 95),
            "max": _percentile(latency, 100),
        },
        "net_drift_ms": round(drift, 1),
        "first_and_last_p50_ms": [_percentile(np.array(first), 50), _percentile(np.array(last), 50)],
        "rss_mb": {"start": start, "middle": middle, "end": end_mb},
        "stop_ms": round(stopping, 1),
        "checks": {
            f"p95 latency <= {bound:.1f} ms": bool(np.percentile(latency, 95) <= bound),
            "last 10 s as quick as the first": bool(np.median(last) <= 1.05 * np.median(first) + 1),
            f"rate >= 95 % of {alone:.2f} fps": bool(fps >= 0.95 * alone),
            "memory grows by less than 10 MB": not memory or memory[-1] - memory[len(memory) // 2] < 10,
            "stopped within half a second": stopping <= 500,
        },
    }


def _percentile(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], share: float) -> float:
    return round(float(np.percentile(values, share)), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each run")
    parser.add_argument("--bank", type=Path, help="a bank file; left out, the library's first style")
    parser.add_argument("--style", help="left out: the bank's first")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--smooth", default="auto", choices=["off", "auto"], help="as in live")
    parser.add_argument("--sizes", nargs="+", default=["640x360", "1280x720"])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.bank:
        bank = StyleBank.load(args.bank)
        name = args.style or next(name for name in bank.names if name != IDENTITY)
    else:
        name = args.style or Library().entries()[0].card.name
        bank = Library().bank(StyleMix(((name, 1.0),)))
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    engine = load_engine(bank, engine=args.engine, precision=args.precision, device=args.device)
    runs = []
    for text in args.sizes:
        width, height = (int(side) for side in text.split("x"))
        runs.append(measure(engine, bank, StyleMix(((name, 1.0),)), (width, height), args.seconds, args.smooth))
        for key, value in runs[-1].items():
            print(f"{key:24}{value}", file=sys.stderr)
        print(file=sys.stderr, flush=True)
    facts = {"machine": describe(engine.device), "engine": engine.name, "precision": engine.precision, "style": name}
    facts["smooth"] = args.smooth
    print("  ".join(f"{key} {value}" for key, value in facts.items()), file=sys.stderr)
    if args.json:
        print(json.dumps({**facts, "warm_up_frames": WARM_UP, "rate": RATE, "runs": runs}))
    engine.close()


if __name__ == "__main__":
    main()
