"""What engines cannot do is said in one line, with a way out; nothing falls back."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.banks import pictures
from tests.test_engines import BANKS, load_or_skip
from videostyle.engines import ENGINES, load_engine
from videostyle.engines.pytorch import PyTorchEngine
from videostyle.errors import EngineError


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("kind", BANKS)
def test_weights_that_are_no_numbers(name: str, kind: str) -> None:
    bank = BANKS[kind]
    load_or_skip(bank, name, "fp32").close()
    first, *_ = bank.body
    body = {**bank.body, first: np.full_like(bank.body[first], np.nan)}
    for broken in (replace(bank, body=body), replace(bank, styles=bank.styles * np.float32(np.inf))):
        with pytest.raises(EngineError, match="no numbers"):
            load_engine(broken, engine=name, precision="fp32", device="cpu")


@pytest.mark.parametrize("name", ENGINES)
def test_banks_that_do_not_fit_their_network(name: str) -> None:
    bank = BANKS["stylenet"]
    load_or_skip(bank, name, "fp32").close()
    first, *others = bank.body
    less = replace(bank, body={key: bank.body[key] for key in others})
    with pytest.raises(EngineError, match=f"weights of its own network: .*{first}"):
        load_engine(less, engine=name, precision="fp32", device="cpu")
    with pytest.raises(EngineError, match="style vectors of"):
        load_engine(replace(bank, styles=bank.styles[:, :-1]), engine=name, precision="fp32", device="cpu")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "tensorflow"}, "--engine tensorflow is unknown: choose auto, openvino, pytorch"),
        ({"precision": "fp64"}, "--precision fp64 is unknown: choose auto, fp32"),
        ({"device": "tpu"}, "--device tpu is unknown: choose auto, cpu"),
        ({"engine": "pytorch", "precision": "int8", "device": "cpu"}, "int8 needs another --engine"),
        ({"engine": "pytorch", "precision": "fp16", "device": "cpu"}, "does not run fp16 here: choose"),
        ({"engine": "pytorch", "device": "cuda:99"}, "finds no device cuda:99 here: choose cpu"),
        ({"engine": "pytorch", "device": "cuda:x"}, "finds no device cuda:x here: choose cpu"),
        ({"engine": "pytorch", "device": "directml"}, "none of pytorch runs on directml"),
        ({"engine": "openvino", "precision": "fp32", "device": "cuda"}, "finds no device cuda here: choose cpu"),
        ({"engine": "openvino", "precision": "fp64"}, "--precision fp64 is unknown"),
        ({"engine": "onnx", "precision": "int8", "device": "cpu"}, "int8 needs --engine openvino"),
        ({"engine": "onnx", "precision": "bf16", "device": "cpu"}, "does not run bf16: choose fp32"),
        ({"engine": "onnx", "device": "directml"}, "pip install onnxruntime-directml"),
    ],
)
def test_nothing_falls_back(options: dict[str, Any], said: str) -> None:
    if options.get("engine", "pytorch") in ENGINES:
        load_or_skip(BANKS["stylenet"], options.get("engine", "pytorch"), "fp32").close()
    with pytest.raises(EngineError) as caught:
        load_engine(BANKS["stylenet"], **options)
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ENGINES)
def test_what_is_not_installed_is_an_error_with_its_install_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videostyle.engines.installed_engines", lambda: [each for each in ENGINES if each != name])
    with pytest.raises(EngineError, match=f"engine {name} is not installed: ") as caught:
        load_engine(BANKS["stylenet"], engine=name)
    assert ENGINES[name].install in str(caught.value)
    monkeypatch.setattr("videostyle.engines.installed_engines", lambda: [])
    with pytest.raises(EngineError, match="no engine is installed: pip install"):
        load_engine(BANKS["stylenet"])


def test_onnx_runtime_without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    load_or_skip(BANKS["stylenet"], "onnx", "fp32").close()
    monkeypatch.setitem(sys.modules, "videostyle.engines.onnx_graph", None)
    with pytest.raises(EngineError, match=r"pip install 'videostyle\[onnx\]'"):
        load_engine(BANKS["stylenet"], engine="onnx", device="cpu")


class Greedy(nn.Module):
    """Runs out of memory as ``error`` says."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def forward(self, x: Tensor, styles: Tensor) -> Tensor:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("MPS backend out of memory"),
        MemoryError(),
    ],
)
def test_out_of_memory_is_told_with_advice(error: Exception) -> None:
    engine = PyTorchEngine(Greedy(error), 4, "fp32", torch.device("cpu"))
    with pytest.raises(EngineError, match=r"not enough memory for 1 picture\(s\) of 9x6: .*--max-side"):
        engine(pictures(1, 6, 9), np.zeros(4, np.float32))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and counted as Linux does")
@pytest.mark.parametrize("name", [name for name, row in ENGINES.items() if row.light])
def test_engines_without_torch_tell_of_memory_too(name: str) -> None:
    load_or_skip(BANKS["stylenet"], name, "fp32").close()
    program = f"""
import resource
import numpy as np
from pathlib import Path
from tests.banks import tiny_bank
from videostyle.engines import load_engine
from videostyle.errors import EngineError
bank = tiny_bank()
engine = load_engine(bank, engine={name!r}, precision="fp32", device="cpu")
engine(np.zeros((1, 64, 64, 3), np.uint8), bank.styles[1])
pictures = np.zeros((1, 6000, 8000, 3), np.uint8)
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 2**28, resource.RLIM_INFINITY))
try:
    engine(pictures, bank.styles[1])
except EngineError as error:
    assert "cpu has not enough memory for 1 picture(s) of 8000x6000: choose a smaller" in str(error), error
else:
    raise AssertionError("there was memory enough")
"""
    root = Path(__file__).parent.parent
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True, timeout=120)


def test_other_failures_are_not_dressed_up() -> None:
    engine = PyTorchEngine(Greedy(RuntimeError("a bug")), 4, "fp32", torch.device("cpu"))
    with pytest.raises(RuntimeError, match="a bug"):
        engine(pictures(1, 6, 9), np.zeros(4, np.float32))


def test_the_makers_of_engines_are_told_nothing() -> None:
    """OpenVINO and NNCF report every import, from a thread of their own, unless they are kept from it."""
    code = "import videostyle.engines, openvino, nncf, threading; print(threading.active_count())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "1"
