"""Import of checkpoints of PyTorch's fast_neural_style example as style banks. Nothing is unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from videostyle.errors import StyleError
from videostyle.styles import NetConfig, StyleBank, StyleCard, check_name
from videostyle.transformer_net import TransformerNet

LARGEST = 256 * 2**20
"""The net takes 7 MB; a file beyond this many bytes is something else and is not even read."""

WIDEST = 4096
"""Channels beyond this are no such net (it has 128) but a broken file."""

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
# Left by torch before 0.4 and never used: instance norm reads its own statistics.
DROPPED = ("running_mean", "running_var", "num_batches_tracked")


def read_checkpoint(path: Path, card: StyleCard) -> StyleBank:
    """A bank of the one style that a fast_neural_style checkpoint holds.

    path: the state_dict of a ``TransformerNet`` as .pth, .pt, .model or .safetensors; wrapped in {"state_dict": ...},
        under ``module.`` prefixes, or with the running statistics of old versions, too.
    card: name and origin of the style.

    Raises StyleError where the file is missing, holds pickled objects, another network, or weights that are no numbers.
    """
    check_name(card.name)
    tensors = _unwrap(_read(path), path)
    config = _config(tensors, path)
    with torch.device("meta"):  # its shapes only: no memory, however wide the file says it is
        net = TransformerNet(config)
    norms = {
        f"{name}.{part}": width // 2
        for name, width in zip(net.norm_names, net.style_sizes, strict=True)
        for part in ("weight", "bias")
    }
    wanted = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    wanted |= {name: (width,) for name, width in norms.items()}
    _compare(wanted, tensors, path)
    numbers = {name: _half_safe(name, tensor, path) for name, tensor in tensors.items()}
    row = np.concatenate([numbers[name] for name in norms])
    body = {name: array for name, array in numbers.items() if name not in norms}
    return StyleBank(config, body, row[None], (card,), {"imported": path.name})


def _read(path: Path) -> Any:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise StyleError(f"{path} cannot be read: {error.strerror}") from error
    if size > LARGEST:
        raise StyleError(
            f"{path} has {size / 2**20:.0f} MB, a fast_neural_style checkpoint about 7: choose another file"
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a foreign file may fail in any way; what it is not is all there is to say
        hint = " (pickled models are never opened: save net.state_dict())" if path.suffix != ".safetensors" else ""
        raise StyleError(f"{path} holds no weights that can be read safely{hint}") from error


def _unwrap(content: Any, path: Path) -> dict[str, Tensor]:
    """The state dict inside wrappers and prefixes, without the keys that do nothing."""
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping) or not content:
        raise StyleError(f"{path} holds no state_dict of a TransformerNet but {type(content).__name__}")
    tensors = {}
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise StyleError(f"{path} holds no plain state_dict: its entry {name!r} is no tensor")
        if not name.endswith(DROPPED):
            tensors[name.removeprefix("module.")] = tensor
    return tensors


def _config(tensors: Mapping[str, Tensor], path: Path) -> NetConfig:
    """Widths and depth as the weights have them, so that slimmer nets of the same family import, too."""
    trunk = tensors.get("conv3.conv2d.weight")
    blocks = len({name.split(".")[0] for name in tensors if name.startswith("res")})
    if trunk is None or trunk.ndim != 4 or len(trunk) % 4 or len(trunk) > WIDEST or not blocks:
        names = ", ".join(sorted(tensors)[:3])
        raise StyleError(f"{path} is no fast_neural_style TransformerNet: its weights are called {names}, ...")
    return NetConfig(kind="transformernet", channels=len(trunk), blocks=blocks, head=len(trunk) // 2)


def _compare(wanted: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor], path: Path) -> None:
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    problems = [f"{name} is missing" for name in wanted if name not in found]
    problems += [f"{name} is unknown" for name in found if name not in wanted]
    problems += [f"{n} is {found[n]}, wanted {shape}" for n, shape in wanted.items() if found.get(n, shape) != shape]
    if problems:
        more = f" and {len(problems) - 2} more" if len(problems) > 2 else ""
        raise StyleError(f"{path} is no fast_neural_style TransformerNet: {'; '.join(problems[:2])}{more}")


def _half_safe(name: str, tensor: Tensor, path: Path) -> NDArray[np.float32]:
    try:
        array = tensor.detach().to(torch.float32).numpy()
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise StyleError(f"{path}: {name} is no plain tensor of numbers ({error})") from error
    # Banks store half precision: what overflows there would be infinite when read back.
    if not np.isfinite(array).all() or np.abs(array).max(initial=0) > np.finfo(np.float16).max:
        raise StyleError(f"{path} is damaged: {name} holds values that are no usable numbers")
    return np.asarray(array)
