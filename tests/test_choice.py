"""What "auto" stands for, and that it is measured once."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.banks import tiny_bank, with_ranges
from videostyle.engines import choice as auto
from videostyle.engines import installed_engines, load_engine
from videostyle.engines.choice import Choice, Memory, best, choose, measure
from videostyle.errors import EngineError
from videostyle.frame import Image
from videostyle.library import HOME_VARIABLE, Library

pytest.importorskip("openvino", reason="OpenVINO is not installed")

INT8, BF16, FP32 = (Choice("openvino", precision, "cpu") for precision in ("int8", "bf16", "fp32"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture(autouse=True)
def no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "has_cuda_card", lambda: False)
    monkeypatch.setattr("sys.platform", "linux")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({INT8: 1.0, BF16: 2.0, FP32: 4.0}, INT8),
        ({INT8: 1.9, BF16: 2.0, FP32: 4.0}, BF16),
        ({INT8: 3.9, BF16: 9.0, FP32: 4.0}, FP32),
        ({BF16: 9.0, FP32: 1.0, Choice("onnx", "fp32", "cpu"): 0.9}, Choice("onnx", "fp32", "cpu")),
        ({BF16: 9.0}, BF16),
    ],
)
def test_fewer_bits_must_be_worth_it(seconds: dict[Choice, float], expected: Choice) -> None:
    assert best(seconds) == expected


def test_a_choice_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bank = with_ranges(tiny_bank())
    first = choose(bank, ["openvino"], "auto", "auto", print)
    assert (first.engine, first.device) == ("openvino", "cpu")
    monkeypatch.setattr(auto, "measure", None)
    assert choose(bank, ["openvino"], "auto", "auto", print) == first
    # On any processor there is something to choose from.
    monkeypatch.setattr("videostyle.engines.openvino.precisions", lambda bank, device: ("bf16", "fp32"))
    with pytest.raises(TypeError):  # another bank, another wish: not what was remembered
        choose(replace(bank, ranges={}), ["openvino"], "auto", "auto", print)


def test_nothing_is_measured_where_there_is_no_choice(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setattr(auto, "measure", None)
    assert choose(tiny_bank(), ["openvino"], "fp32", "auto", print) == FP32
    assert choose(tiny_bank(), ["pytorch"], "auto", "auto", print) == Choice("pytorch", "auto", "cpu")
    assert not (home / "cache" / "engines.json").exists()


def test_int8_is_left_alone_without_calibration() -> None:
    assert choose(tiny_bank(), ["openvino"], "auto", "cpu", lambda line: None).precision != "int8"
    with pytest.raises(EngineError, match="not calibrated"):
        load_engine(tiny_bank(), precision="int8")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": 3}', '{"key": ["tensorflow", "fp32", "cpu"]}'])
def test_a_damaged_memory_is_an_empty_one(tmp_path: Path, content: str) -> None:
    path = tmp_path / "engines.json"
    path.write_text(content)
    memory = Memory(path)
    assert memory.recall("key") is None
    memory.keep("key", INT8)
    memory.keep("other", FP32)
    assert (memory.recall("key"), memory.recall("other")) == (INT8, FP32)


def test_a_memory_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    memory = Memory(tmp_path / "file" / "engines.json")
    memory.keep("key", INT8)
    assert memory.recall("key") is None


def test_what_cannot_run_is_passed_over_aloud() -> None:
    said = list[str]()
    found = measure(tiny_bank(), [INT8, FP32], said.append)
    assert list(found) == [FP32]
    assert len(said) == 1
    assert said[0].startswith("openvino/int8 was passed over: ")


def test_an_engine_whose_package_is_damaged_is_passed_over_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(bank: object, device: str) -> list[str]:
        raise ImportError("DLL load failed")

    said = list[str]()
    monkeypatch.setattr("videostyle.engines.openvino.precisions", damaged)
    assert choose(tiny_bank(), ["openvino", "onnx"], "auto", "cpu", said.append).engine == "onnx"
    assert said == ["openvino was passed over: DLL load failed"]


def test_a_package_of_another_name_has_a_version_too(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "onnxruntime":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.99" if name == "onnxruntime-gpu" else real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: {"onnxruntime": ["onnxruntime-gpu"]})
    assert auto.describe(tiny_bank(), ["onnx"], "auto") != auto.describe(tiny_bank(), ["openvino"], "auto")
    assert auto._version("onnxruntime") == "onnxruntime-gpu 1.99"


def test_a_slow_machine_measures_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "ENOUGH", -1.0)
    assert list(measure(with_ranges(tiny_bank()), [INT8, FP32], print)) == [INT8]


def test_a_computer_busy_for_a_while_does_not_tip_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    load = {INT8: 1.0, BF16: 2.0}

    class Engine:
        def __init__(self, name: Choice) -> None:
            self.name = name

        def __call__(self, photos: Image, vector: object) -> Image:
            busy = 1.75 if clock[0] < 9 else 1.0  # until well after each has painted for the first time
            clock[0] += busy * load[self.name]
            return photos

        def close(self) -> None: ...

    monkeypatch.setattr(auto, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(auto, "ENOUGH", 100.0)
    monkeypatch.setattr(
        "videostyle.engines.openvino.load", lambda bank, kind, device: Engine(Choice("openvino", kind, device))
    )
    assert measure(tiny_bank(), [INT8, BF16], print) == load


@pytest.mark.skipif("pytorch" not in installed_engines(), reason="PyTorch is not installed")
def test_a_card_goes_before_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    said = list[str]()
    monkeypatch.setattr(auto, "has_cuda_card", lambda: True)
    monkeypatch.setattr("videostyle.engines.pytorch.lacks", lambda device: None)
    expected = Choice("pytorch", "auto", "cuda")
    assert choose(tiny_bank(), ["openvino", "pytorch"], "auto", "auto", said.append) == expected
    assert choose(tiny_bank(), ["openvino", "pytorch"], "fp32", "cpu", said.append).device == "cpu"
    assert said == []
    monkeypatch.setattr("videostyle.engines.pytorch.lacks", lambda device: f"no {device} in this build")
    assert choose(tiny_bank(), ["openvino", "pytorch"], "fp32", "auto", said.append) == FP32
    assert said == ["pytorch does not use this computer's card: no cuda in this build"]


def test_an_engine_without_the_device_says_so() -> None:
    with pytest.raises(EngineError, match="none of openvino runs on cuda"):
        load_engine(tiny_bank(), engine="openvino", device="cuda")


@pytest.mark.skipif(not Library().entries(), reason="no bank is shipped in this checkout")
@pytest.mark.parametrize(
    "command",
    [
        ["image", "photo.png", "out.png"],
        ["video", "clip.mp4", "out.mp4"],
        ["demo", "--no-window"],
        ["live", "--source", "synthetic:64x48", "--record", "live.mp4", "--no-window", "--duration", "0.3"],
    ],
    ids=lambda command: command[0],
)
def test_commands_paint_without_torch(command: list[str], home: Path) -> None:
    program = f"""
import sys
import numpy as np
from fractions import Fraction
from videostyle.pictures import save_picture
save_picture("photo.png", np.zeros((24, 32, 3), np.uint8))
from videostyle.frame import Frame, StreamInfo
from videostyle.sources.synthetic import SyntheticSource
from videostyle.sinks import open_sink
source = SyntheticSource("64x48", frames=3)
sink = open_sink("clip.mp4", source.info)
for frame in source:
    sink.write(frame)
sink.close()
import videostyle.cli.demo
from pathlib import Path
Path("models").mkdir()
import shutil
shutil.copy("clip.mp4", "models/demo.mp4")
videostyle.cli.demo.shipped_folder = lambda: Path("models")
from videostyle.cli import run
assert run({command!r} + ["--engine", "openvino"]) == 0
assert not {{"torch", "torchvision"}} & set(sys.modules), "torch was imported"
"""
    subprocess.run([sys.executable, "-c", program], cwd=home, check=True, timeout=120)
