"""Every engine, precision and device of this machine, one after the other, and what comes of it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from videostyle.benchmark import advice
from videostyle.benchmark.advice import Row, Size
from videostyle.benchmark.machine import describe
from videostyle.benchmark.serve import WARMUP
from videostyle.benchmark.work import flops
from videostyle.benchmark.worker import Worker
from videostyle.engines import DEVICES, ENGINES
from videostyle.engines.choice import Choice
from videostyle.errors import EngineError
from videostyle.styles import NetConfig

RATE_SECONDS = 0.5
TOO_SLOW = 1000.0
"""Milliseconds that a picture may be expected to take, from the smaller ones, to be worth everybody's time."""
TRIES = 3
"""Sizes that are measured to find the largest one that holds the rate."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure.

    bank, style: as ``videostyle.benchmark.jobs`` takes them. config: of the bank's network. sizes: (width, height), the
    smallest first. seconds: of each case, warm-up not counted. rate: frames a second that live pictures have. engines,
    devices: those to look at.
    """

    bank: str | None
    style: str | None
    config: NetConfig
    sizes: Sequence[Size]
    seconds: float = 1.5
    rate: float = 30.0
    engines: Sequence[str] = tuple(ENGINES)
    devices: Sequence[str] = DEVICES[1:]

    def job(self, kind: str, **values: Any) -> dict[str, Any]:
        return {"kind": kind, "bank": self.bank, "style": self.style, **values}


@dataclass(frozen=True, slots=True)
class Lacking:
    """What cannot run here: an engine in some precisions on a device, at a size or (None) at all, and the reason."""

    engine: str
    device: str
    precisions: tuple[str, ...]
    size: Size | None
    reason: str


Told = Callable[[str, int, int | None], None]
"""Gets what is being measured, how many measurements are done, and of how many, once that is known."""


@dataclass
class Bench:
    """A run over a plan; what it has found so far stays readable when it is interrupted.

    load: processes that wanted to run in the last minute before it, None where the system does not tell.
    limits: operations a second, in 10^9, that a device multiplies matrices with in a precision at best; None where
    nothing tells. auto: what "auto" chooses, None before it is known or where it cannot choose.
    """

    plan: Plan
    told: Told = lambda what, done, total: None
    rows: list[Row] = field(default_factory=list)
    lacking: list[Lacking] = field(default_factory=list)
    limits: dict[tuple[str, str], float | None] = field(default_factory=dict)
    auto: Choice | None = None
    load: float | None = None
    _done: int = 0
    _total: int | None = None

    def run(self) -> None:
        """Measure everything. Raises EngineError where nothing runs at all."""
        self.load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        cases = [case for name in self.plan.engines for case in self._probe(name)]
        if not cases:
            raise EngineError(self._nothing())
        kinds = dict.fromkeys((case.device, case.precision) for case in cases)
        self._total = self._done + 1 + len(kinds) + len(cases) * len(self.plan.sizes)
        self._ask_auto()
        for device, precision in kinds:
            self.limits[device, precision] = self._limit(device, precision)
        for size in self.plan.sizes:
            for case in cases:
                self._measure(case, size)
        if not self.rows:
            raise EngineError(self._nothing())
        self._find_what_holds()

    def _nothing(self) -> str:
        wish = f"none of {', '.join(self.plan.engines)} runs on {', '.join(self.plan.devices)}"
        return f"nothing can be measured: {self.lacking[-1].reason if self.lacking else wish}"

    def _tell(self, what: str) -> None:
        self.told(what, self._done, self._total)
        self._done += 1

    def _ask_auto(self) -> None:
        self._tell("what auto chooses")
        try:
            with Worker(self.plan.job("auto")) as worker:
                self.auto = Choice(worker.about["engine"], worker.about["precision"], worker.about["device"])
        except EngineError as error:
            self.lacking.append(Lacking("auto", "auto", (), None, str(error)))

    def _probe(self, name: str) -> list[Choice]:
        """What ``name`` can do; what it cannot goes to ``lacking``, one entry a reason."""
        self._tell(f"what {name} can do")
        devices = [each for each in self.plan.devices if each.partition(":")[0] in ENGINES[name].devices]
        try:
            with Worker(self.plan.job("probe", engine=name, devices=devices)) as worker:
                found = worker.about
        except EngineError as error:
            self.lacking.append(Lacking(name, ", ".join(devices), (), None, str(error)))
            return []
        reasons: dict[tuple[str, str], list[str]] = {}
        for device, precision, reason in found["lacking"]:
            reasons.setdefault((device, reason), []).append(precision)
        self.lacking += [Lacking(name, device, tuple(each), None, why) for (device, why), each in reasons.items()]
        return [Choice(name, precision, device) for device, precision in found["able"]]

    def _limit(self, device: str, precision: str) -> float | None:
        self._tell(f"how fast {device} multiplies in {precision}")
        try:
            with Worker(self.plan.job("rate", precision=precision, device=device)) as worker:
                operations: int = worker.about["operations"]
                return operations / worker.sample(RATE_SECONDS).best_ms / 1e6
        except EngineError:
            return None

    def _measure(self, case: Choice, size: Size) -> bool:
        """A new row, or an entry in ``lacking``; says which."""
        self._tell(f"{case.engine} {case.precision} on {case.device} at {size[0]}x{size[1]}")
        work = flops(self.plan.config, size) / 1e9
        expected = [row.median_ms * math.prod(size) / math.prod(row.size) for row in self.rows if row.case == case]
        if expected and expected[-1] > TOO_SLOW:
            reason = f"too slow to be measured: a picture would take about {expected[-1] / 1000:.1f} s"
            self.lacking.append(Lacking(case.engine, case.device, (case.precision,), size, reason))
            return False
        try:
            with Worker(self.plan.job("paint", **asdict(case), size=size, batch=1)) as worker:
                sample = worker.sample(self.plan.seconds)
                card = worker.about["card_mb"]
        except EngineError as error:
            self.lacking.append(Lacking(case.engine, case.device, (case.precision,), size, str(error)))
            return False
        gops = 1000 * work / sample.median_ms
        limit = self.limits.get((case.device, case.precision))
        self.rows.append(
            Row(
                **asdict(case),
                size=size,
                frames=len(sample.ms),
                fps=sample.fps,
                median_ms=sample.median_ms,
                p95_ms=sample.p95_ms,
                peak_rss_mb=sample.peak_rss_mb,
                card_mb=card,
                gops=gops,
                share=None if limit is None else gops / limit,
            )
        )
        return True

    def _find_what_holds(self) -> None:
        """Measure the fastest case at sizes between those of the plan, nearer and nearer to what holds the rate."""
        for _ in range(TRIES):
            wanted = advice.next_to_try(self.rows, self.plan.rate)
            if wanted is None:
                return
            self._total = (self._total or 0) + 1
            if not self._measure(*wanted):
                return

    def advise(self) -> advice.Advice:
        """What to make of it."""
        return advice.recommend(self.rows, self.plan.sizes, self.plan.rate, self.auto)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``, times in milliseconds, memory in 10^6 bytes, operations in 10^9 a second."""
        return {
            "machine": describe(),
            "style": self.plan.style,
            "bank": self.plan.bank,
            "network": asdict(self.plan.config),
            "load_before": self.load,
            "seconds": self.plan.seconds,
            "warmup": WARMUP,
            "rate": self.plan.rate,
            "rows": [asdict(row) for row in self.rows],
            "lacking": [asdict(each) for each in self.lacking],
            "limits": [
                {"device": device, "precision": precision, "gops": gops}
                for (device, precision), gops in self.limits.items()
            ],
            "auto": None if self.auto is None else asdict(self.auto),
            "advice": self.advise().to_json(),
        }
