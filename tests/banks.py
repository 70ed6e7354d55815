"""Banks of random weights, small enough to run in milliseconds."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from videostyle.net import StyleNet, build
from videostyle.styles import IDENTITY, NetConfig, StyleBank, StyleCard
from videostyle.transformer_net import TransformerNet

TINY = NetConfig("stylenet", channels=8, blocks=1, head=4, inner=4)
TINY_TRANSFORMER = NetConfig("transformernet", channels=16, blocks=1, head=8)


def tiny_bank(*names: str, seed: int = 0, styles_seed: int = 0, config: NetConfig = TINY) -> StyleBank:
    """A StyleNet bank; the same ``seed`` gives the same body, whatever its styles are called."""
    names = names or (IDENTITY, "rain", "sun")
    torch.manual_seed(seed)
    net = StyleNet(config)
    torch.manual_seed(styles_seed)
    styles = net.neutral(len(names)) + 0.3 * torch.randn(len(names), net.style_size)
    return _bank(config, net, styles, names)


def painted(bank: StyleBank, images: NDArray[np.uint8]) -> Tensor:
    """What eager float32 makes of images (N, H, W, 3) in each style of a bank: float32 (styles, N, 3, H, W)."""
    net = build(bank.config).eval()
    net.load_state_dict({name: torch.from_numpy(value) for name, value in bank.body.items()})
    photos = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        return torch.stack([net(photos, row[None]) for row in torch.from_numpy(bank.styles)])


def tiny_transformer_bank(name: str = "mosaic", seed: int = 0) -> StyleBank:
    """A TransformerNet bank whose weights give pictures that use the whole range."""
    torch.manual_seed(seed)
    net = TransformerNet(TINY_TRANSFORMER)
    styles = 1 + 0.2 * torch.randn(1, net.style_size)
    with torch.no_grad():
        net.deconv3.conv2d.weight.mul_(60)
        net.state_dict()["deconv3.conv2d.bias"].fill_(128)
    return _bank(TINY_TRANSFORMER, net, styles, (name,))


def _bank(config: NetConfig, net: torch.nn.Module, styles: torch.Tensor, names: tuple[str, ...]) -> StyleBank:
    # Rounded to half precision as a saved bank is, so that saving and loading changes nothing.
    body = {name: half(tensor.numpy()) for name, tensor in net.state_dict().items()}
    return StyleBank(config, body, half(styles.detach().numpy()), tuple(StyleCard(name) for name in names))


def half(array: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return array.astype(np.float16).astype(np.float32)


def pictures(count: int, height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth colours with some noise on them: (N, H, W, 3)."""
    random = np.random.default_rng(seed)
    slopes = random.uniform(-0.3, 0.3, (2, count, 1, 1, 3))
    y, x = np.mgrid[:height, :width][:, None, :, :, None]
    waves = 128 + 90 * np.sin(slopes[0] * y + slopes[1] * x + random.uniform(0, 6, (count, 1, 1, 3)))
    images: NDArray[np.uint8] = np.clip(waves + random.normal(0, 10, waves.shape), 0, 255).astype(np.uint8)
    return images


def with_ranges(bank: StyleBank) -> StyleBank:
    """The same bank calibrated for int8 on two pictures and all its styles, as eager float32 sees them."""
    net = build(bank.config).eval()
    net.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in bank.body.items()})
    seen: dict[str, tuple[float, float]] = {}

    def look(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        low, high = seen.get(name, (0.0, 0.0))
        seen[name] = min(low, float(inputs[0].min())), max(high, float(inputs[0].max()))

    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(partial(look, name.rpartition(".")[0]))
    with torch.no_grad():
        for style in torch.from_numpy(bank.styles):
            net(torch.from_numpy(pictures(2, 48, 64)).permute(0, 3, 1, 2).float() / 255, style[None])
    return replace(bank, ranges=seen)
