"""The PyTorch engine: eager, channels last, on CPU, CUDA and Apple's MPS."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from videostyle.engines.arguments import CLOSED, check_arguments, out_of_memory
from videostyle.errors import EngineError
from videostyle.net import build
from videostyle.styles import StyleBank

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

CARD_LANES = 2
"""Pictures at a time on a card where throughput is asked for: one is copied while the other is painted."""


def load(bank: StyleBank, precision: str, device: str, throughput: bool = False) -> PyTorchEngine:
    """See ``videostyle.engines.load_engine``."""
    where = _device(device)
    chosen = _precision(precision, where)
    lanes = CARD_LANES if throughput and where.type == "cuda" else 1
    return PyTorchEngine(_module(bank, chosen, where), bank.styles.shape[1], chosen, where, lanes)


class PyTorchEngine:
    """Runs a bank's network with PyTorch. See ``StyleEngine`` for the contract.

    Weights and activations are in the engine's precision; bytes go up and come down, and all conversion is done on
    the device. On a CUDA card each calling thread has a stream of its own, so that copies of one picture overlap the
    painting of another.
    """

    name = "pytorch"

    def __init__(self, net: nn.Module, style_size: int, precision: str, device: torch.device, lanes: int = 1) -> None:
        self.lanes = lanes
        self.precision = precision
        self.device = str(device)
        self._net: nn.Module | None = net
        self._style_size = style_size
        self._where = device
        self._dtype = DTYPES[precision]
        self._own = threading.local()

    def __call__(self, images: NDArray[np.uint8], vector: NDArray[np.float32]) -> NDArray[np.uint8]:
        net = self._net
        if net is None:
            raise EngineError(CLOSED)
        styles = check_arguments(images, vector, self._style_size)
        try:
            with torch.inference_mode(), self._stream():
                out = self._paint(net, self._upload(images), self._upload(styles))
                return self._download(out)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise out_of_memory(images, self.device) from error
        except RuntimeError as error:
            # The allocators of CPU and MPS have no error class of their own.
            if any(sign in str(error) for sign in ("not enough memory", "out of memory", "can't allocate memory")):
                raise out_of_memory(images, self.device) from error
            raise

    def _stream(self) -> AbstractContextManager[Any]:
        if self._where.type != "cuda":
            return nullcontext()
        if not hasattr(self._own, "stream"):
            self._own.stream = torch.cuda.Stream(self._where)
        return torch.cuda.stream(self._own.stream)

    def _paint(self, net: nn.Module, images: Tensor, styles: Tensor) -> Tensor:
        # NHWC bytes seen as NCHW are channels last already: no copy but the conversion.
        x = images.permute(0, 3, 1, 2).to(self._dtype).div_(255)
        y: Tensor = net(x, styles.to(self._dtype))
        # Half precisions cannot hold x.5 near 255, so rounding is done in float32.
        y = y.to(torch.float32, memory_format=torch.channels_last)
        return y.mul_(255).add_(0.5).clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1)

    def _upload(self, array: NDArray[Any]) -> Tensor:
        # A tensor over read-only or backwards memory is refused by torch.
        array = np.require(array, requirements=["C", "W"])
        tensor = torch.from_numpy(array)
        if self._where.type != "cuda":
            return tensor.to(self._where)
        return tensor.pin_memory().to(self._where, non_blocking=True)

    def _download(self, out: Tensor) -> NDArray[np.uint8]:
        if self._where.type != "cuda":
            return out.contiguous().cpu().numpy()
        host = torch.empty(out.shape, dtype=torch.uint8, pin_memory=True)
        host.copy_(out, non_blocking=True)
        torch.cuda.current_stream(self._where).synchronize()
        return host.numpy()

    def close(self) -> None:
        self._net = None
        if self._where.type == "cuda":
            torch.cuda.empty_cache()


def _device(name: str) -> torch.device:
    there = ["cpu"]
    there += ["cuda"] if torch.cuda.is_available() else []
    there += ["mps"] if torch.backends.mps.is_available() else []
    if name == "auto":
        return torch.device(there[-1])
    kind, _, index = name.partition(":")
    cards = torch.cuda.device_count() if kind == "cuda" else 1
    if kind not in there or (index and not (index.isdecimal() and int(index) < cards)):
        hint = " (a CUDA build of torch and a driver: https://pytorch.org/get-started)" if kind == "cuda" else ""
        raise EngineError(f"PyTorch finds no device {name} here: choose {', '.join(there)} or auto{hint}")
    return torch.device(name)


def lacks(device: str) -> str | None:
    """Why PyTorch does not run on ``device``, and how to mend it; None where it does."""
    try:
        _device(device)
    except EngineError as error:
        return str(error)
    return None


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; emulated, it is many times slower than float32."""
    probe = getattr(torch.cpu, "get_capabilities", None)
    found: dict[str, Any] = probe() if probe is not None else {}
    if any(found.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")):
        return True
    old = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # before torch 2.9
    return bool(old is not None and old())


def precisions(device: torch.device) -> list[str]:
    """What ``device`` runs, the preferred precision first."""
    if device.type == "cuda":
        return ["fp16", "bf16", "fp32"] if torch.cuda.is_bf16_supported(including_emulation=False) else ["fp16", "fp32"]
    if device.type == "mps":
        return ["fp16", "fp32"]
    return ["bf16", "fp32"] if cpu_has_bf16() else ["fp32"]


def _precision(name: str, device: torch.device) -> str:
    there = precisions(device)
    if name == "auto":
        return there[0]
    if name not in there:
        hint = "; int8 needs another --engine" if name == "int8" else ""
        raise EngineError(f"PyTorch on {device} does not run {name} here: choose {', '.join(there)} or auto{hint}")
    return name


def _module(bank: StyleBank, precision: str, device: torch.device) -> nn.Module:
    """The bank's network with its weights, in ``precision`` and channels last on ``device``."""
    label = bank.path or f"the bank of {', '.join(bank.names)}"
    with torch.device("meta"):
        net = build(bank.config)
    weights = {name: torch.from_numpy(np.array(tensor, np.float32)) for name, tensor in bank.body.items()}
    try:
        net.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise EngineError(f"{label} does not hold the weights of its own network: {reason}") from error
    if getattr(net, "style_size", None) != bank.styles.shape[1]:
        raise EngineError(f"{label} has style vectors of {bank.styles.shape[1]} numbers, not {net.style_size}")
    net.eval().requires_grad_(False)
    net.to(device, DTYPES[precision]).to(memory_format=torch.channels_last)
    for name, tensor in net.named_parameters():
        if not bool(torch.isfinite(tensor).all()):
            raise EngineError(
                f"{label}: {name} holds no numbers in {precision}: fetch it again, or use --precision fp32"
            )
    if not np.isfinite(bank.styles).all():
        raise EngineError(f"{label} holds style vectors that are no numbers: fetch or train it again")
    return net
