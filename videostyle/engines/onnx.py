"""The ONNX Runtime engine: processors everywhere, and cards by CUDA, DirectML and CoreML. It does not import torch.

It runs in fp32, and in fp16 on cards. It has no int8: ONNX Runtime's quantised convolution wants its output in 8 bits
too, where instance norms follow (half the time of fp32, but five times the error of OpenVINO's int8), and its integer
convolution, which does not, took three times as long as fp32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from videostyle.engines import graph
from videostyle.engines.arguments import CLOSED, check_arguments, out_of_memory
from videostyle.errors import EngineError
from videostyle.styles import StyleBank

PROVIDERS = {
    "cpu": ("CPUExecutionProvider", "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "directml": ("DmlExecutionProvider", "onnxruntime-directml"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime"),
}
"""By device: what ONNX Runtime calls it, and the package that has it."""

ONLY_ERRORS = 3


def load(bank: StyleBank, precision: str, device: str, throughput: bool = False) -> ONNXEngine:
    """See ``videostyle.engines.load_engine``."""
    where = "cpu" if device == "auto" else device
    reason = lacks(where)
    if reason is not None:
        raise EngineError(reason)
    there = precisions(bank, where)
    if precision == "auto":
        precision = there[0]
    if precision not in there:
        hint = "; int8 needs --engine openvino" if precision == "int8" else ""
        raise EngineError(f"ONNX Runtime on {where} does not run {precision}: choose {', '.join(there)} or auto{hint}")
    graph.check(bank, precision)
    return ONNXEngine(bank, precision, where)


def precisions(bank: StyleBank, device: str) -> list[str]:
    """What ``device`` runs, the preferred precision first."""
    return ["fp32"] if device == "cpu" else ["fp16", "fp32"]


def lacks(device: str) -> str | None:
    """Why ONNX Runtime does not run on ``device``, and how to mend it; None where it should."""
    provider, package = PROVIDERS.get(device.partition(":")[0], ("", ""))
    there = onnxruntime.get_available_providers()
    if provider in there:
        return None
    known = ", ".join(name for name, (each, _) in PROVIDERS.items() if each in there)
    hint = f" (pip install {package} instead of the onnxruntime that is installed)" if package else ""
    return f"ONNX Runtime finds no device {device} here: choose {known} or auto{hint}"


class ONNXEngine:
    """Runs a bank's network with ONNX Runtime. See ``StyleEngine`` for the contract."""

    name = "onnx"
    lanes = 1

    def __init__(self, bank: StyleBank, precision: str, device: str) -> None:
        self.precision = precision
        self.device = device
        self._style_size = bank.styles.shape[1]
        self._session: onnxruntime.InferenceSession | None = _session(bank, precision, device)

    def __call__(self, images: NDArray[np.uint8], vector: NDArray[np.float32]) -> NDArray[np.uint8]:
        session = self._session
        if session is None:
            raise EngineError(CLOSED)
        styles = check_arguments(images, vector, self._style_size)
        inputs = {"images": np.ascontiguousarray(images), "styles": np.ascontiguousarray(styles)}
        try:
            painted: NDArray[np.uint8] = session.run(None, inputs)[0]
        except Exception as error:  # ONNX Runtime's own classes, none of them for memory
            if "allocate memory" in str(error) or "out of memory" in str(error).lower():
                raise out_of_memory(images, self.device) from error
            raise
        return painted

    def close(self) -> None:
        self._session = None


def _session(bank: StyleBank, precision: str, device: str) -> onnxruntime.InferenceSession:
    try:
        from videostyle.engines.onnx_graph import build
    except ImportError as error:
        raise EngineError(
            f"the onnx engine needs onnx beside onnxruntime: pip install 'videostyle[onnx]' ({error})"
        ) from error
    provider, _ = PROVIDERS[device.partition(":")[0]]
    number = device.partition(":")[2]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ONLY_ERRORS
    # Threads that spin for one another take the processor from the encoder and the window beside the net.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    choices: dict[str, Any] = {"device_id": number} if number else {}
    session = onnxruntime.InferenceSession(build(bank, half=precision == "fp16"), options, [(provider, choices)])
    if session.get_providers()[0] != provider:  # it falls back to the processor by itself
        raise EngineError(
            f"ONNX Runtime could not start on {device}: look after its driver, or choose another --device"
        )
    return session
