"""Latency percentiles in bounded memory, and the report of a run."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from videostyle.stats import Latencies, Latency, RunReport, peak_rss_mb


@dataclass(frozen=True)
class Engine:
    name: str = "pytorch"
    precision: str = "fp16"
    device: str = "cuda"


def report(**changes: Any) -> RunReport:
    values: dict[str, Any] = {
        "frames_in": 10,
        "frames_out": 9,
        "dropped": 1,
        "seconds": 0.50001,
        "fps": 17.99964,
        "latency_ms": Latency(1.23456, 2.0, 3.0),
        "size": (640, 360),
        "peak_rss_mb": 120.5,
        "output": "out.mp4",
    }
    return RunReport(**values | changes)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.95, 0.999, 1.0])
def test_percentiles_are_within_one_per_cent_of_the_exact_ones(share: float) -> None:
    values = np.random.default_rng(7).lognormal(3.0, 1.0, 20_000)
    latencies = Latencies()
    for value in values:
        latencies.add(float(value))
    exact = float(np.quantile(values, share, method="inverted_cdf"))
    assert latencies.percentile(share) == pytest.approx(exact, rel=0.0101)


def test_the_largest_is_exact_and_equal_values_are_not_spread() -> None:
    latencies = Latencies()
    for value in (10.0, 10.0, 10.0, 123.456):
        latencies.add(value)
    summary = latencies.summary()
    assert summary.max == 123.456
    assert summary.p50 == pytest.approx(10.0, rel=0.0101)
    assert summary.p95 == 123.456


def test_memory_does_not_grow_with_the_number_of_frames() -> None:
    latencies = Latencies()
    for number in range(50_000):
        latencies.add(10.0 + number % 7)
    assert len(latencies._buckets) == 7
    for extreme in (0.0, -1.0, 1e30):
        latencies.add(extreme)
    assert max(latencies._buckets) == 2400
    assert min(latencies._buckets) == 0


def test_no_frames_have_no_latency() -> None:
    assert Latencies().summary() == Latency(None, None, None)


def test_a_report_is_json_that_holds_what_scripts_depend_on() -> None:
    written = json.loads(json.dumps(report(notes=("damage at 0:03",)).on(Engine()).to_json()))
    assert written == {
        "frames_in": 10,
        "frames_out": 9,
        "dropped": 1,
        "seconds": 0.5,
        "fps": 18.0,
        "latency_ms": {"p50": 1.235, "p95": 2.0, "max": 3.0},
        "size": [640, 360],
        "peak_rss_mb": 120.5,
        "output": "out.mp4",
        "notes": ["damage at 0:03"],
        "engine": "pytorch",
        "precision": "fp16",
        "device": "cuda",
    }


def test_an_empty_run_is_json_too() -> None:
    empty = report(size=None, latency_ms=Latency(), peak_rss_mb=None, output=None).to_json()
    assert empty["size"] is None
    assert empty["latency_ms"] == {"p50": None, "p95": None, "max": None}


def test_the_peak_memory_of_this_process_is_plausible() -> None:
    peak = peak_rss_mb()
    assert peak is not None
    assert 10 < peak < 100_000


def test_the_peak_memory_is_not_that_of_the_parent() -> None:
    program = "from videostyle.stats import peak_rss_mb; print(peak_rss_mb())"
    parent = (
        "import subprocess, sys\n"
        "memory = bytearray(b'x') * 400_000_000\n"
        f"subprocess.run([sys.executable, '-c', {program!r}], check=True)"
    )
    said = subprocess.run([sys.executable, "-c", parent], check=True, capture_output=True, text=True).stdout
    assert 1 < float(said) < 200
