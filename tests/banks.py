"""Banks of random weights, small enough to run in milliseconds."""

from __future__ import annotations

import numpy as np
import torch

from videostyle.net import StyleNet
from videostyle.styles import IDENTITY, NetConfig, StyleBank, StyleCard
from videostyle.transformer_net import TransformerNet

TINY = NetConfig("stylenet", channels=8, blocks=1, head=4)
TINY_TRANSFORMER = NetConfig("transformernet", channels=16, blocks=1, head=8)


def tiny_bank(*names: str, seed: int = 0, styles_seed: int = 0) -> StyleBank:
    """A StyleNet bank; the same ``seed`` gives the same body, whatever its styles are called."""
    names = names or (IDENTITY, "rain", "sun")
    torch.manual_seed(seed)
    net = StyleNet(TINY)
    torch.manual_seed(styles_seed)
    styles = net.neutral(len(names)) + 0.3 * torch.randn(len(names), net.style_size)
    return _bank(TINY, net, styles, names)


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
