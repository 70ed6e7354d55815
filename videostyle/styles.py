"""Style banks: self-describing files that hold one network and the styles it can paint.

A bank is ``NAME.safetensors`` beside ``NAME.json``. The safetensors file holds the tensors and, in its metadata, the
network's configuration, so that it runs without its card; the JSON card tells people where each style comes from, how
it was trained and how good it is. A mix names what to paint: styles of one bank by weight. Nothing here imports torch:
engines without it read banks too.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from videostyle.errors import StyleError

FORMAT = "videostyle-bank-1"
LEARNED = "videostyle-style-1"
"""Format of a style without a body: see ``videostyle.learned``."""
STYLES = "styles"
"""Name of the tensor (S, P) of style vectors; all other tensors belong to the network's body."""

IDENTITY = "identity"
"""Name of the style that is the photo itself; row 0 of a bank that has one."""


Range = tuple[float, float]
"""The lowest and the highest value of something."""

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""What styles are called: lower-case letters, digits, hyphens between them."""


@dataclass(frozen=True, slots=True)
class StyleMix:
    """Styles by weight: names are unique, weights are finite, at least 0, and sum to 1."""

    parts: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        names, weights = [name for name, _ in self.parts], [weight for _, weight in self.parts]
        if not all(names):
            raise StyleError(f"a mix of styles is empty or lacks a name: {MIX_HELP}")
        for name in names:
            if names.count(name) > 1:
                raise StyleError(f"style {name!r} appears twice in the mix: give it one weight")
        for name, weight in self.parts:
            if not math.isfinite(weight) or weight < 0:
                raise StyleError(f"weight {weight:g} of style {name!r} is no number of 0 or more")
        total = sum(weights)
        if not 0 < total < math.inf:
            raise StyleError(f"the weights of the mix {', '.join(names)} sum to {total:g}: raise at least one above 0")
        object.__setattr__(self, "parts", tuple((name, weight / total) for name, weight in self.parts))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.parts)

    def __str__(self) -> str:
        if len(self.parts) == 1:
            return self.parts[0][0]
        return ",".join(f"{name}:{weight:.3g}" for name, weight in self.parts)


MIX_HELP = "write NAME, or NAME:WEIGHT,NAME:WEIGHT"


def parse_mix(text: str) -> StyleMix:
    """Read ``starry-night``, ``starry-night,great-wave`` (equal parts) or ``starry-night:0.7,great-wave:0.3``.

    Raises StyleError where names are missing or doubled, weights are no numbers, below 0, all 0, or given to some only.
    """
    pieces = [piece.strip().partition(":") for piece in text.split(",")]
    if len({colon for _, colon, _ in pieces}) > 1:
        raise StyleError(f"{text!r} weighs some styles and not others: {MIX_HELP}")
    parts = []
    for name, colon, weight in pieces:
        try:
            parts.append((name.strip(), float(weight) if colon else 1.0))
        except ValueError as error:
            raise StyleError(f"weight {weight.strip()!r} of style {name!r} is no number: {MIX_HELP}") from error
    return StyleMix(tuple(parts))


def check_name(name: str) -> str:
    """``name`` itself if a style may be called so, else StyleError."""
    if not NAME.fullmatch(name):
        raise StyleError(f"{name!r} cannot name a style: use lower-case letters, digits and hyphens, like starry-night")
    return name


def unknown_style(name: str, known: Iterable[str]) -> StyleError:
    """The error for a name that is not among ``known``, with near matches."""
    if "." in name:
        return StyleError(f"{name!r} is a file, not a style: videostyle learn FILE --name NAME makes a picture one")
    near = difflib.get_close_matches(name.lower(), list(known), n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return StyleError(f"There is no style {name!r}.{hint} All styles: videostyle styles list")


@dataclass(frozen=True, slots=True)
class NetConfig:
    """Which network a bank holds, and its sizes.

    kind: "stylenet" (conditional instance norms, many styles) or "transformernet" (fast_neural_style, one style).
    channels, blocks, head: the width at quarter size, residual blocks, and the width at half size.
    inner: the width between the two convolutions of a block ("stylenet" only); None: ``channels``.
    """

    kind: str = "stylenet"
    channels: int = 48
    blocks: int = 5
    head: int = 24
    inner: int | None = None

    @property
    def hidden(self) -> int:
        """The width between the two convolutions of a block."""
        return self.inner or self.channels


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
    path: where it was loaded from, if it was. ranges: (lowest, highest) value that enters a convolution, by its name:
    what running in int8 needs (see ``videostyle.quantize``); empty where it was not calibrated.
    """

    config: NetConfig
    body: Mapping[str, NDArray[np.float32]]
    styles: NDArray[np.float32]
    cards: tuple[StyleCard, ...]
    recipe: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None
    ranges: Mapping[str, Range] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.styles.ndim != 2 or len(self.styles) != len(self.cards):
            raise StyleError(
                f"a bank of {len(self.cards)} cards cannot have style vectors of shape {self.styles.shape}"
            )
        if len(set(self.names)) != len(self.cards):
            raise StyleError(f"a bank cannot hold two styles of one name: {', '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all styles, the identity included where there is one."""
        return tuple(card.name for card in self.cards)

    @property
    def has_identity(self) -> bool:
        """Whether row 0 is the photo itself, so that strength is a way inside the net."""
        return IDENTITY in self.names

    def vector(self, mix: StyleMix, strength: float = 1.0) -> NDArray[np.float32]:
        """The style vector, float32 (P,), of a mix: (1 - strength) * identity + strength * the weighted rows.

        A bank without an identity style has no such way: its vector is that of full strength, and the Stylizer fades
        between photo and painting instead. Raises StyleError for names that the bank lacks and strengths out of 0..1.
        """
        if not 0 <= strength <= 1:
            raise StyleError(f"strength {strength:g} is out of range: choose 0 (the photo) to 1 (the full style)")
        weights = np.zeros(len(self.cards), np.float32)
        for name, weight in mix.parts:
            if name not in self.names:
                raise unknown_style(name, self.names)
            weights[self.names.index(name)] = weight
        if self.has_identity:
            weights *= strength
            weights[self.names.index(IDENTITY)] += 1 - strength
        # Rows of weight 0 stay out of the sum, so that a lone style is its row to the last bit.
        used = np.flatnonzero(weights)
        return np.asarray(weights[used] @ self.styles[used], np.float32)

    @property
    def body_hash(self) -> str:
        """SHA-256 over configuration and body: styles learned on one body fit no other."""
        digest = hashlib.sha256(json.dumps(asdict(self.config), sort_keys=True).encode())
        for name in sorted(self.body):
            digest.update(name.encode() + np.ascontiguousarray(self.body[name], "<f2").tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write ``path`` (half-precision safetensors) and its card beside it; each appears only when whole."""
        tensors = {name: np.ascontiguousarray(tensor, np.float16) for name, tensor in self.body.items()}
        tensors[STYLES] = np.ascontiguousarray(self.styles, np.float16)
        metadata = {"format": FORMAT, "config": json.dumps(asdict(self.config)), "names": json.dumps(self.names)}
        if self.ranges:
            metadata["ranges"] = json.dumps(self.ranges)
        partial, text = (path.with_name(f"{name}.partial") for name in (path.name, f"{path.stem}.json"))
        try:
            save_file(tensors, partial, metadata)
            partial.chmod(0o644)  # safetensors makes private files; a shared bank is for everybody
            card = {
                "format": FORMAT,
                "sha256": hashlib.sha256(partial.read_bytes()).hexdigest(),
                "config": asdict(self.config),
                "recipe": dict(self.recipe),
                "styles": [asdict(card) for card in self.cards],
            }
            text.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            # In this order a bank that is cut short here is one without a card, and not one of another's.
            path.with_suffix(".json").unlink(missing_ok=True)
            os.replace(partial, path)
            os.replace(text, path.with_suffix(".json"))
        finally:
            partial.unlink(missing_ok=True)
            text.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a bank.

        Raises StyleError where the file is missing, is no bank, or differs from the hash on its card.
        """
        label = read_label(path)
        if label.body is not None:
            raise StyleError(f"{path} is a learned style without a net of its own: videostyle styles import keeps it")
        try:
            with safe_open(path, "np") as file:
                tensors = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, TypeError) as error:
            raise StyleError(f"{path} cannot be read as a style bank: {error}") from error
        if STYLES not in tensors:
            raise StyleError(f"{path} holds no style vectors: train or fetch it again")
        if label.sha256 is not None and label.sha256 != hashlib.sha256(path.read_bytes()).hexdigest():
            raise StyleError(f"{path} is not the file that its card describes: fetch or train both again")
        body = {name: tensor for name, tensor in tensors.items() if name != STYLES}
        return cls(label.config, body, tensors[STYLES], label.cards, label.recipe, path, label.ranges)

    def with_cards(self, cards: tuple[StyleCard, ...]) -> Self:
        """The same weights under other cards, e.g. after measuring."""
        return replace(self, cards=cards)


@dataclass(frozen=True, slots=True, eq=False)
class BankLabel:
    """All of a style file but its tensors.

    sha256: of the safetensors file, as its card says; None without a card. body: for a learned style, ``body_hash`` of
    the bank that it was learned on; None where the file holds a body of its own.
    """

    config: NetConfig
    cards: tuple[StyleCard, ...]
    recipe: Mapping[str, Any]
    sha256: str | None
    ranges: Mapping[str, Range]
    body: str | None = None


def is_bank(path: Path) -> bool:
    """Whether a file says that it is a bank or a learned style, readable by this version or not."""
    try:
        with safe_open(path, "np") as file:
            return str((file.metadata() or {}).get("format")).startswith(("videostyle-bank", "videostyle-style"))
    except (OSError, SafetensorError):
        return False


def read_label(path: Path) -> BankLabel:
    """What a bank or a learned style says of itself, its tensors unread. Raises StyleError where a file is none."""
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise StyleError(f"{path} cannot be read as a style bank: {error}") from error
    if metadata.get("format") not in (FORMAT, LEARNED):
        raise StyleError(f"{path} is no videostyle bank (format {metadata.get('format')!r}, wanted {FORMAT!r})")
    described = path.with_suffix(".json")
    try:
        config = NetConfig(**json.loads(metadata["config"]))
        bounds = json.loads(metadata.get("ranges", "{}"))
        ranges = {name: (float(low), float(high)) for name, (low, high) in bounds.items()}
        if metadata["format"] == LEARNED:
            card = StyleCard(**json.loads(metadata["card"]))
            return BankLabel(config, (card,), json.loads(metadata["recipe"]), None, ranges, metadata["body"])
        if not described.exists():
            names = json.loads(metadata["names"])
            return BankLabel(config, tuple(StyleCard(name=name) for name in names), {}, None, ranges)
        about = json.loads(described.read_text(encoding="utf-8"))
        cards = tuple(StyleCard(**entry) for entry in about["styles"])
        return BankLabel(config, cards, about["recipe"], about["sha256"], ranges)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StyleError(f"{path} or its card {described.name} is damaged: {type(error).__name__}: {error}") from error
