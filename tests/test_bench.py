"""``videostyle bench``: real runs of a tiny bank, what is made of figures, and processes that go wrong. No timing."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.banks import TINY, TINY_TRANSFORMER, tiny_bank, with_ranges
from tests.screen import until
from videostyle.benchmark import advice, bench, rates, worker
from videostyle.benchmark.advice import Row, Size, fastest, holding, next_to_try, recommend
from videostyle.benchmark.bench import Bench, Plan
from videostyle.benchmark.work import flops
from videostyle.benchmark.worker import Sample, Worker, joined
from videostyle.cli import run
from videostyle.engines import DEVICES, ENGINES, PRECISIONS, installed_engines
from videostyle.engines.choice import Choice
from videostyle.engines.graph import NETS
from videostyle.errors import EngineError
from videostyle.library import HOME_VARIABLE
from videostyle.net import StyleNet, build
from videostyle.styles import NetConfig
from videostyle.transformer_net import TransformerNet

Captured = pytest.CaptureFixture[str]
INT8, BF16, FP32 = (Choice("openvino", precision, "cpu") for precision in ("int8", "bf16", "fp32"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """tiny.safetensors, calibrated, in a home of its own."""
    folder = tmp_path_factory.mktemp("bench")
    with_ranges(tiny_bank()).save(folder / "tiny.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME_VARIABLE, str(folder / "home"))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield folder


def test_all_that_runs_here_is_measured_and_the_rest_named(folder: Path, capsys: Captured) -> None:
    options = ["--bank", str(folder / "tiny.safetensors"), "--sizes", "48x32", "--seconds", "0.1", "--json"]
    assert run(["bench", *options]) == 0
    said = capsys.readouterr()
    report = json.loads(said.out)
    rows, lacking = report["rows"], report["lacking"]
    measured = {(row["engine"], row["device"], row["precision"]) for row in rows}
    left_out = {(each["engine"], each["device"], precision) for each in lacking for precision in each["precisions"]}
    everything = {
        (name, device, precision) for name, row in ENGINES.items() for device in row.devices for precision in PRECISIONS
    }
    assert measured | left_out == {case for case in everything if case[2] != "auto"}
    assert measured & left_out == set()
    assert {name for name, _, _ in measured} == set(installed_engines())
    for case in measured:
        mine = [row for row in rows if (row["engine"], row["device"], row["precision"]) == case]
        assert mine[0]["size"] == [48, 32]
        for row in mine:
            assert row["frames"] >= 3
            assert 0 < row["median_ms"] <= row["p95_ms"]
            assert row["fps"] > 0
            assert row["peak_rss_mb"] is None or row["peak_rss_mb"] > 20
            assert row["gops"] == pytest.approx(flops(TINY, tuple(row["size"])) / row["median_ms"] / 1e6)
    assert all(each["reason"] for each in lacking)
    assert report["network"] == asdict(TINY)
    assert report["auto"]["engine"] in installed_engines()
    assert [chosen["size"] for chosen in report["advice"]["at"]] == [[48, 32]]
    assert "at 48x32" in said.err


def test_people_get_a_table_and_advice_and_a_plot(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    pytest.importorskip("matplotlib")
    name = installed_engines()[0]
    picture = tmp_path / "speed.png"
    options = ["--bank", str(folder / "tiny.safetensors"), "--style", "rain", "--sizes", "48x32", "--seconds", "0.1"]
    assert run(["bench", *options, "--engine", name, "--device", "cpu", "--plot", str(picture)]) == 0
    said = capsys.readouterr().out
    assert "stylenet of 8 channels and 1 blocks" in said
    assert f"at 48x32 take --engine {name} --precision " in said
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("config", [TINY, TINY_TRANSFORMER, NetConfig(), NetConfig("stylenet", 32, 3, 16)])
@pytest.mark.parametrize("size", [(640, 360), (641, 357), (5, 3), (1, 1)])
def test_work_is_what_pytorch_counts(config: NetConfig, size: Size) -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        net = build(config).eval()
        assert isinstance(net, StyleNet | TransformerNet)
        net(torch.empty(1, 3, size[1], size[0]), torch.empty(1, net.style_size))
    assert flops(config, size) == counter.get_total_flops()


def test_work_of_every_network_is_known() -> None:
    assert {config.kind for config in (TINY, TINY_TRANSFORMER)} == set(NETS)


@pytest.mark.parametrize("name", [name for name, row in ENGINES.items() if row.light])
def test_what_needs_no_torch_is_measured_without_it(name: str, folder: Path) -> None:
    if name not in installed_engines():
        pytest.skip(f"{name} is not installed")
    case = {"engine": name, "precision": "fp32", "device": "cpu", "size": [32, 16], "batch": 1}
    jobs = [
        {"kind": "paint", "bank": str(folder / "tiny.safetensors"), "style": None, **case},
        {"kind": "rate", "precision": "fp32", "device": "cpu"},
    ]
    program = (
        "import json, sys\n"
        "sys.modules['torch'] = None\n"
        "from videostyle.benchmark.jobs import JOBS, serve\n"
        "serve(lambda: JOBS[json.loads(sys.argv[1])['kind']](json.loads(sys.argv[1])))\n"
    )
    for job in jobs if "openvino" in installed_engines() else jobs[:1]:
        command = [sys.executable, "-c", program, json.dumps(job)]
        done = subprocess.run(command, input="0\n", capture_output=True, text=True, check=True)
        about, sample = map(json.loads, done.stdout.splitlines())
        assert "error" not in about
        assert len(sample["ms"]) == 3


def test_products_are_computed_in_the_precision_they_are_counted_for() -> None:
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed")
    if "INT8" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor does not multiply in int8")
    for precision, kinds in {"int8": {"u8", "i8"}, "fp32": {"f32"}}.items():
        step, operations = rates.product(precision, "cpu")
        assert operations == 2 * 8 * (256 * 256 * 9) * (64 * 64)
        compiled = step.__self__.get_compiled_model()  # type: ignore[attr-defined]
        layers = [node.get_rt_info() for node in compiled.get_runtime_model().get_ops()]
        found = [info["runtimePrecision"] for info in layers if info["layerType"] == "Convolution"]
        assert len(found) == 8
        assert set(found) <= kinds


def test_products_that_nothing_tells_of() -> None:
    with pytest.raises(EngineError, match="nothing that is installed tells how fast directml multiplies in fp16"):
        rates.product("fp16", "directml")


def test_products_of_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rates.SQUARE, "cpu", 32)
    monkeypatch.setattr(rates, "find_spec", lambda name: name if name == "torch" else None)
    step, operations = rates.product("fp32", "cpu")
    step()
    assert operations == 2 * 32**3
    with pytest.raises(EngineError, match="multiplies in int8"):
        rates.product("int8", "cpu")


# What is made of figures


def row(case: Choice, size: Size, fps: float) -> Row:
    return Row(case.engine, case.precision, case.device, size, 9, fps, 1000 / fps, 1200 / fps, 99.0, None, 1.0, None)


SMALL, LARGE = (640, 360), (1280, 720)
CUDA = Choice("pytorch", "fp16", "cuda")


@pytest.mark.parametrize(
    ("fps", "rate", "expected"),
    [
        ({INT8: 50, BF16: 40, FP32: 20}, 30, INT8),
        ({INT8: 50, BF16: 46, FP32: 20}, 30, BF16),  # hardly slower, and more exact
        ({INT8: 31, BF16: 29, FP32: 20}, 30, INT8),  # hardly slower, but too slow
        ({INT8: 21, BF16: 20, FP32: 10}, 30, BF16),
        ({INT8: 50, CUDA: 200}, 30, CUDA),
    ],
)
def test_the_fastest_of_a_size(fps: Mapping[Choice, float], rate: float, expected: Choice) -> None:
    rows = [row(case, SMALL, each) for case, each in fps.items()] + [row(FP32, LARGE, 1000)]
    assert fastest(rows, SMALL, rate).case == expected


@pytest.mark.parametrize("start", [[SMALL], [SMALL, LARGE], [(64, 36), LARGE], [LARGE]])
@pytest.mark.parametrize("cost", [(1.0, 60e-6), (5.0, 85e-6), (0.0, 33.4 / (640 * 360))])
def test_the_size_that_holds_a_rate_is_found(start: list[Size], cost: tuple[float, float]) -> None:
    """On a machine whose time grows in a line with the pixels."""

    def measured(case: Choice, size: Size) -> Row:
        return row(case, size, 1000 / (cost[0] + cost[1] * math.prod(size)))

    rows = [measured(INT8, size) for size in start]
    for _ in range(bench.TRIES):
        wanted = next_to_try(rows, 30)
        if wanted is None:
            break
        assert wanted[1] not in {each.size for each in rows}
        rows.append(measured(*wanted))
    found = holding(rows, 30)
    assert found is not None
    assert found.fps >= 30
    largest = (1000 / 30 - cost[0]) / cost[1]
    assert math.prod(found.size) > 0.85 * min(largest, math.prod(start[-1]))


def test_nothing_is_tried_where_all_hold_or_nothing_could() -> None:
    assert next_to_try([row(INT8, SMALL, 31), row(INT8, LARGE, 30)], 30) is None
    assert next_to_try([row(INT8, (64, 36), 0.01)], 30) is None
    assert holding([row(INT8, SMALL, 29)], 30) is None


def test_advice_in_words() -> None:
    rows = [row(INT8, SMALL, 80), row(INT8, LARGE, 15), row(INT8, (896, 504), 32)]
    said = recommend(rows, [SMALL, LARGE], 30, INT8)
    assert said.lines[:4] == (
        "at 640x360 take --engine openvino --precision int8: 80.0 fps",
        "at 1280x720 take --engine openvino --precision int8: 15.0 fps, short of 30",
        "30 fps hold up to 896x504: videostyle video --max-side 896; videostyle live finds its size by itself",
        "without options it is openvino in int8 on cpu",
    )
    told = said.to_json()
    assert told["holds"] == {**told["at"][0], "size": (896, 504), "fps": 32, "max_side": 896}
    assert json.loads(json.dumps(told))["at"][1]["size"] == [1280, 720]


def test_advice_names_cards_and_what_auto_misses() -> None:
    lines = recommend([row(CUDA, LARGE, 200), row(INT8, LARGE, 15)], [LARGE], 30, INT8).lines
    assert lines[0] == "at 1280x720 take --engine pytorch --precision fp16 --device cuda: 200.0 fps"
    assert lines[1] == "without options it is openvino in int8 on cpu: name what is faster"
    slow = recommend([row(INT8, LARGE, 0.5)], [LARGE], 30, None)
    assert slow.lines[1] == "nothing that was measured holds 30 fps: try smaller --sizes"
    assert slow.to_json()["holds"] is None


class Machine:
    """Stands in for processes: a machine on which OpenVINO runs in two precisions, and PyTorch crashes."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        self.job = job
        if job.get("engine") == "pytorch":
            raise EngineError("its process was ended by SIGSEGV")
        if job["kind"] == "rate" and job["precision"] == "int8":
            raise EngineError("nothing tells")
        if job.get("precision") == "fp32" and job.get("size") == LARGE:
            raise EngineError("cpu has not enough memory")
        self.about = {
            "probe": {"able": [["cpu", "int8"], ["cpu", "fp32"]], "lacking": [["cpu", "bf16", "no bf16"]] * 2},
            "auto": {"engine": "openvino", "precision": "int8", "device": "cpu"},
            "rate": {"operations": 10**9},
            "paint": {"card_mb": None},
        }[job["kind"]]

    def sample(self, seconds: float) -> Sample:
        if self.job["kind"] == "rate":
            return Sample((10.0, 12.0), 1.0, None)
        ms = math.prod(self.job["size"]) / (20_000 if self.job["precision"] == "int8" else 5_000)
        return Sample((ms, ms, ms), 1.0, 100.0)

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None: ...


def test_what_fails_ends_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "Worker", Machine)
    told = list[tuple[str, int, int | None]]()
    plan = Plan(None, "rain", TINY, [SMALL, LARGE], engines=["openvino", "pytorch"], devices=["cpu"])
    found = Bench(plan, lambda *step: told.append(step))
    found.run()
    assert [(each.precision, each.size) for each in found.rows[:3]] == [
        ("int8", SMALL),
        ("fp32", SMALL),
        ("int8", LARGE),
    ]
    assert found.rows[0].share is None
    assert found.rows[1].share == pytest.approx(found.rows[1].gops / 100)
    reasons = [(each.engine, each.precisions, each.size, each.reason) for each in found.lacking]
    assert reasons == [
        ("openvino", ("bf16", "bf16"), None, "no bf16"),
        ("pytorch", (), None, "its process was ended by SIGSEGV"),
        ("openvino", ("fp32",), LARGE, "cpu has not enough memory"),
    ]
    assert [done for _, done, _ in told] == list(range(len(told)))
    assert told[-1][1:] == (len(told) - 1, len(told))
    holds = found.advise().holds
    assert holds is not None
    assert 640 < holds.size[0] < 1280


def test_what_would_take_seconds_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "Worker", Machine)
    plan = Plan(None, "rain", TINY, [SMALL, (12800, 7200)], engines=["openvino"], devices=["cpu"])
    found = Bench(plan)
    found.run()
    assert {row.size for row in found.rows if row.precision == "fp32"} == {SMALL}
    assert [each.reason for each in found.lacking[1:]] == [
        "too slow to be measured: a picture would take about 4.6 s",
        "too slow to be measured: a picture would take about 18.4 s",
    ]


def test_nothing_at_all(monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: Captured) -> None:
    monkeypatch.setattr(bench, "Worker", Machine)
    options = ["--bank", str(folder / "tiny.safetensors"), "--engine", "pytorch"]
    assert run(["bench", *options]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "videostyle: nothing can be measured: its process was ended by SIGSEGV"
    )


@pytest.mark.parametrize(
    ("options", "said", "code"),
    [
        (["--sizes", "360p,4k"], "'4k' is none of 360p, 720p, 1080p, nor WIDTHxHEIGHT", 2),
        (["--sizes", "0x5"], "'0x5' is none of", 2),
        (["--sizes", "99999x5"], "'99999x5' is none of", 2),
        (["--engine", "tensorflow"], "'tensorflow' is not one of", 2),
        (["--bank", "none.safetensors"], "none.safetensors cannot be read as a style bank", 2),
        (["--bank", "tiny.safetensors", "--style", "snow"], "There is no style 'snow'", 2),
        (["--style", "snowy"], "There is no style 'snowy'", 2),
        (["--engine", "openvino", "--device", "mps", "--bank", "tiny.safetensors"], "none of openvino runs on mps", 1),
        (["--plot", "speed.xyz"], "choose a name that ends in .png", 2),
        (["--plot", "nowhere/speed.png"], "make the folder nowhere first", 2),
        (["--plot", "tiny.json"], "exists already", 2),
    ],
)
def test_what_cannot_be_asked_for(
    options: list[str], said: str, code: int, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(folder)
    assert run(["bench", *options]) == code
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_a_plot_without_matplotlib(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert run(["bench", "--plot", "speed.png"]) == 2
    assert "--plot needs matplotlib: pip install 'videostyle[measure]'" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are those of Unix")
def test_an_interrupted_bench_shows_what_it_has_and_leaves_nothing_behind(folder: Path) -> None:
    name = installed_engines()[0]
    options = ["--bank", str(folder / "tiny.safetensors"), "--engine", name, "--device", "cpu", "--seconds", "1"]
    command = [sys.executable, "-m", "videostyle", "bench", *options, "--sizes", "48x32,64x48,96x64"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if "at 64x48" in line)
        os.kill(process.pid, signal.SIGINT)
        said, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "videostyle: interrupted"
    assert "48x32" in said
    assert "96x64" not in said
    until(lambda: not alive(process.pid), "its processes are gone")


def alive(group: int) -> bool:
    """Whether a process of the group is there; one that has ended is until its parent, or init, has looked at it."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


# Processes that go wrong


@pytest.fixture
def programs(tmp_path: Path) -> dict[str, str]:
    """The environment in which the modules that ``wrong`` writes are found."""
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "its process was ended by SIGKILL"),
        ("sys.exit('no such thing')", "its process ended with exit code 1: no such thing"),
        ("sys.exit(3)", "its process ended with exit code 3: it said nothing"),
        ("raise EngineError('no card')", "^no card$"),
        ("time.sleep(600)", "its process said nothing for 1 s"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of Unix")
@pytest.mark.parametrize("when", ["at the start", "later"])
def test_processes_that_end(
    body: str, said: str, when: str, tmp_path: Path, programs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "DEADLINE", 1.0 if "sleep" in body else 60.0)
    (tmp_path / "wrong.py").write_text(
        "import os, signal, sys, time\n"
        "from videostyle.benchmark.serve import serve\n"
        "from videostyle.errors import EngineError\n"
        "steps = []\n"
        "def step():\n"
        "    steps.append(1)\n"
        f"    if len(steps) > {3 if when == 'later' else 0}:\n"
        f"        {body}\n"
        "serve(lambda: (step, dict))\n"
    )
    if when == "at the start":
        with pytest.raises(EngineError, match=said):
            Worker({}, "wrong", environment=programs)
        return
    with Worker({}, "wrong", environment=programs) as process:
        with pytest.raises(EngineError, match=said):
            process.sample(0)
        with pytest.raises(EngineError):
            process.sample(0)


def test_samples_and_what_is_printed_between(tmp_path: Path, programs: dict[str, str]) -> None:
    (tmp_path / "loud.py").write_text(
        "import json, sys\n"
        "from videostyle.benchmark.serve import serve\n"
        "serve(lambda: (lambda: print('painting'), lambda: json.loads(sys.argv[1])))\n"
    )
    with Worker({"name": "loud"}, "loud", environment=programs) as process:
        assert process.about == {"name": "loud"}
        samples = [process.sample(0), process.sample(0)]
    assert [len(each.ms) for each in samples] == [3, 3]
    process.close()


def test_samples_add_up() -> None:
    first, second = Sample((1.0, 2.0, 3.0), 4.0, 100.0), Sample((9.0,), 8.0, None)
    both = joined([first, second])
    assert both == Sample((1.0, 2.0, 3.0, 9.0), 5.0, 100.0)
    assert (both.median_ms, both.p95_ms) == (2.5, 9.0)
    assert both.fps == pytest.approx(1000 * 4 / 15)
    assert joined([second]).peak_rss_mb is None
    assert replace(first, ms=tuple(map(float, range(1, 101)))).p95_ms == 95


def test_sizes_are_sorted_by_area() -> None:
    assert advice.sizes([row(INT8, (100, 1), 1), row(INT8, (9, 9), 1)]) == [(9, 9), (100, 1)]
    assert DEVICES[0] == PRECISIONS[0] == "auto"
