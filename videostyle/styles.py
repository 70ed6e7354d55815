"""Style banks: self-describing files that hold one network and the styles it can paint.

A bank is ``NAME.safetensors`` beside ``NAME.json``. The safetensors file holds the tensors and, in its metadata, the
network's configuration, so that it runs without its card; the JSON card tells people where each style comes from, how it
was trained and how good it is. Nothing here imports torch: engines without it read banks too.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from videostyle.errors import StyleError

FORMAT = "videostyle-bank-1"
STYLES = "styles"
"""Name of the tensor (S, P) of style vectors; all other tensors belong to the network's body."""

IDENTITY = "identity"
"""Name of the style that is the photo itself; row 0 of a bank that has one."""


@dataclass(frozen=True, slots=True)
class NetConfig:
    """Which network a bank holds, and its sizes.

    kind: "stylenet" (conditional instance norms, many styles) or "transformernet" (fast_neural_style, one style).
    channels, blocks, head: StyleNet's width at quarter size, residual blocks, and width at half size.
    """

    kind: str = "stylenet"
    channels: int = 48
    blocks: int = 5
    head: int = 24


@dataclass(frozen=True, slots=True)
class StyleCard:
    """What people should know of one style.

    quality: figures as ``benchmarks/quality.py`` prints them, e.g. {"style": 0.61, "content": 1.24}.
    """

    name: str
    title: str = ""
    artist: str = ""
    year: str = ""
    rights: str = ""
    quality: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class StyleBank:
    """A network's weights and its styles.

    config: the network. body: float32 tensors by their name in the module. styles: float32 (S, P), one row a style.
    cards: one a row, in the same order. recipe: how it was trained (options, data, steps, losses), free-form JSON.
    path: where it was loaded from, if it was.
    """

    config: NetConfig
    body: Mapping[str, NDArray[np.float32]]
    styles: NDArray[np.float32]
    cards: tuple[StyleCard, ...]
    recipe: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None

    def __post_init__(self) -> None:
        if self.styles.ndim != 2 or len(self.styles) != len(self.cards):
            raise StyleError(f"a bank of {len(self.cards)} cards cannot have style vectors of shape {self.styles.shape}")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all styles, the identity included where there is one."""
        return tuple(card.name for card in self.cards)

    @property
    def body_hash(self) -> str:
        """SHA-256 over configuration and body: styles learned on one body fit no other."""
        digest = hashlib.sha256(json.dumps(asdict(self.config), sort_keys=True).encode())
        for name in sorted(self.body):
            digest.update(name.encode() + np.ascontiguousarray(self.body[name], "<f2").tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write ``path`` (half-precision safetensors) and its card beside it; both appear only when whole."""
        tensors = {name: np.ascontiguousarray(tensor, np.float16) for name, tensor in self.body.items()}
        tensors[STYLES] = np.ascontiguousarray(self.styles, np.float16)
        metadata = {"format": FORMAT, "config": json.dumps(asdict(self.config)), "names": json.dumps(self.names)}
        partial = path.with_name(path.name + ".partial")
        save_file(tensors, partial, metadata)
        card = {
            "format": FORMAT,
            "sha256": hashlib.sha256(partial.read_bytes()).hexdigest(),
            "config": asdict(self.config),
            "recipe": dict(self.recipe),
            "styles": [asdict(card) for card in self.cards],
        }
        text = path.with_name(path.stem + ".json.partial")
        text.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(partial, path)
        os.replace(text, path.with_suffix(".json"))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a bank.

        Raises StyleError where the file is missing, is no bank, or differs from the hash on its card.
        """
        try:
            with safe_open(path, "np") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise StyleError(f"{path} cannot be read as a style bank: {error}") from error
        if metadata.get("format") != FORMAT or STYLES not in tensors:
            raise StyleError(f"{path} is no videostyle bank (format {metadata.get('format')!r}, wanted {FORMAT!r})")
        config = NetConfig(**json.loads(metadata["config"]))
        cards = tuple(StyleCard(name=name) for name in json.loads(metadata["names"]))
        recipe: Mapping[str, Any] = {}
        described = path.with_suffix(".json")
        if described.exists():
            card = json.loads(described.read_text(encoding="utf-8"))
            if card["sha256"] != hashlib.sha256(path.read_bytes()).hexdigest():
                raise StyleError(f"{path} is not the file that {described.name} describes: fetch or train both again")
            cards, recipe = tuple(StyleCard(**entry) for entry in card["styles"]), card["recipe"]
        return cls(config, {k: v for k, v in tensors.items() if k != STYLES}, tensors[STYLES], cards, recipe, path)

    def with_cards(self, cards: tuple[StyleCard, ...]) -> Self:
        """The same weights under other cards, e.g. after measuring."""
        return replace(self, cards=cards)
