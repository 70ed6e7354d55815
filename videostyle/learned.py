"""Learned styles: one small file each, without a body.

A file holds the style's vector, the pictures it was learned from, brought down in size, so that it can be learned again
on another body, and in its metadata the card, the recipe and the hash of the body that the vector fits.
"""

from __future__ import annotations

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
from videostyle.output import hidden_name
from videostyle.styles import LEARNED, STYLES, NetConfig, Range, StyleBank, StyleCard, read_label


@dataclass(frozen=True, slots=True, eq=False)
class LearnedStyle:
    """One style that fits the body of a bank.

    vector: float32 (P,). body: ``body_hash`` of the bank it was learned on; config: that bank's network. ranges: as of
    a bank, but seen with this style alone. recipe: how it was learned, free-form JSON. pictures: image files, as bytes.
    """

    card: StyleCard
    vector: NDArray[np.float32]
    body: str
    config: NetConfig
    ranges: Mapping[str, Range] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    pictures: tuple[bytes, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Its name, as ``StyleBank.names`` has those of several."""
        return (self.card.name,)

    def on(self, bank: StyleBank) -> StyleBank:
        """``bank`` with this style behind its own; one of the same name gives way.

        Raises StyleError where the bank has another body.
        """
        if bank.body_hash != self.body:
            raise StyleError(f"style {self.card.name!r} was learned on another net than that of {bank.path}")
        keep = [row for row, name in enumerate(bank.names) if name != self.card.name]
        cards = (*(bank.cards[row] for row in keep), self.card)
        styles, ranges = np.concatenate([bank.styles[keep], self.vector[None]]), wider(bank.ranges, self.ranges)
        return replace(bank, styles=styles, cards=cards, ranges=ranges)

    def save(self, path: Path) -> None:
        """Write ``path``, a safetensors file; it appears only when whole."""
        tensors: dict[str, NDArray[Any]] = {STYLES: np.ascontiguousarray(self.vector[None], np.float32)}
        for number, picture in enumerate(self.pictures):
            tensors[f"picture.{number}"] = np.frombuffer(picture, np.uint8)
        described = {"config": asdict(self.config), "card": asdict(self.card), "recipe": dict(self.recipe)}
        described["ranges"] = dict(self.ranges)
        metadata = {"format": LEARNED, "body": self.body} | {key: json.dumps(of) for key, of in described.items()}
        partial = hidden_name(path).with_suffix(".partial")
        try:
            save_file(tensors, partial, metadata)
            partial.chmod(0o644)  # safetensors makes private files
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a learned style. Raises StyleError where the file is missing or is none."""
        label = read_label(path)
        if label.body is None:
            raise StyleError(f"{path} is a whole bank, not a learned style")
        try:
            with safe_open(path, "np") as file:
                vector = file.get_tensor(STYLES)[0]
                count = len(file.keys()) - 1
                pictures = tuple(file.get_tensor(f"picture.{number}").tobytes() for number in range(count))
        except (OSError, SafetensorError, IndexError) as error:
            raise StyleError(f"{path} cannot be read as a learned style: {error}") from error
        return cls(label.cards[0], vector, label.body, label.config, label.ranges, label.recipe, pictures)


def wider(ranges: Mapping[str, Range], others: Mapping[str, Range]) -> dict[str, Range]:
    """``ranges``, widened where ``others`` of the same name are wider: int8 has to hold the values of both."""
    pairs = {name: (bounds, others.get(name, bounds)) for name, bounds in ranges.items()}
    return {name: (min(a[0], b[0]), max(a[1], b[1])) for name, (a, b) in pairs.items()}


def load_style_file(path: Path) -> StyleBank | LearnedStyle:
    """What a style file holds. Raises StyleError where it is none or is damaged."""
    return StyleBank.load(path) if read_label(path).body is None else LearnedStyle.load(path)
