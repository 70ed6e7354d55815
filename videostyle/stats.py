"""What a run says of itself: frames, drops, latency, throughput and memory."""

from __future__ import annotations

import math
import sys
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, Self

_STEP = math.log(1.01)
_FLOOR_MS = 1e-3
_TOP = 2400  # e^(2400 * step) is 2e10 times the floor: more than 200 days


class Latencies:
    """Percentiles of any number of latencies in constant memory, within 1 %; the largest is exact.

    Values are counted in buckets that each span one per cent, as HDR histograms do: hours of frames fit in a few
    thousand numbers, and none of them is forgotten as a sliding window would.
    """

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._count = 0
        self._max = 0.0

    def add(self, milliseconds: float) -> None:
        """Count one latency; below a microsecond counts as a microsecond."""
        bucket = math.ceil(math.log(max(milliseconds, _FLOOR_MS) / _FLOOR_MS) / _STEP)
        self._buckets[min(bucket, _TOP)] += 1
        self._count += 1
        self._max = max(self._max, milliseconds)

    def percentile(self, share: float) -> float | None:
        """The latency in milliseconds that ``share`` (0..1) of all stay at or below; None without any."""
        wanted = max(1, math.ceil(share * self._count))
        for bucket in sorted(self._buckets):
            wanted -= self._buckets[bucket]
            if wanted <= 0:
                return min(_FLOOR_MS * math.exp(bucket * _STEP), self._max)
        return None

    def summary(self) -> Latency:
        """p50, p95 and the largest."""
        p50, p95 = self.percentile(0.50), self.percentile(0.95)
        return Latency(p50, p95, self._max if self._count else None)


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from the moment a frame left its source until its sink had taken it; None without frames."""

    p50: float | None = None
    p95: float | None = None
    max: float | None = None


class RunsOn(Protocol):
    """What an engine says of itself."""

    @property
    def name(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def device(self) -> str: ...


@dataclass(frozen=True, slots=True)
class RunReport:
    """One finished run.

    frames_in: frames that left the source. frames_out: frames that the sink took. dropped: frames that gave way to
    newer ones, in live capture only. seconds: wall time from the start until the output was closed. fps: frames_out
    over seconds. size: (width, height) of what was written, None without frames. peak_rss_mb: the largest resident
    memory that the process ever had, in 10^6 bytes, None where the system does not tell. notes: what a person should
    know of source and sink, one line each.
    """

    frames_in: int
    frames_out: int
    dropped: int
    seconds: float
    fps: float
    latency_ms: Latency
    size: tuple[int, int] | None
    peak_rss_mb: float | None
    output: str | None
    notes: tuple[str, ...] = ()
    engine: str = ""
    precision: str = ""
    device: str = ""

    def on(self, engine: RunsOn) -> Self:
        """The same report, naming the engine that it ran on."""
        return replace(self, engine=engine.name, precision=engine.precision, device=engine.device)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``, rounded to what was measured."""
        return {name: _rounded(value) for name, value in asdict(self).items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {name: _rounded(entry) for name, entry in value.items()}
    return list(value) if isinstance(value, tuple) else value


def peak_rss_mb() -> float | None:
    """The largest resident memory of this process so far in 10^6 bytes, None where the system does not tell.

    ``VmHWM`` on Linux, where ``getrusage`` begins with what the parent process had; ``getrusage`` on other Unix systems
    (bytes on macOS, else kibibytes), ``K32GetProcessMemoryInfo`` on Windows.
    """
    if sys.platform == "win32":
        return _peak_windows()
    if sys.platform == "linux":
        with open("/proc/self/status", encoding="utf-8") as status:
            return next((int(line.split()[1]) * 1024 / 1e6 for line in status if line.startswith("VmHWM:")), None)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def _peak_windows() -> float | None:
    import ctypes

    class Counters(ctypes.Structure):
        # PROCESS_MEMORY_COUNTERS; the peak working set is the third member.
        _fields_ = (
            ("size", ctypes.c_uint32),
            ("page_faults", ctypes.c_uint32),
            ("peak_working_set", ctypes.c_size_t),
            ("rest", ctypes.c_size_t * 7),
        )

    kernel: Any = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    kernel.K32GetProcessMemoryInfo.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32]
    counters = Counters(size=ctypes.sizeof(Counters))
    found = kernel.K32GetProcessMemoryInfo(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.size)
    return counters.peak_working_set / 1e6 if found else None
