"""The library: every style bank on this machine, the shipped ones and the user's own.

Only labels are read until a style is asked for, so that a library of many files opens in milliseconds.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path, user_data_path
from safetensors import SafetensorError

from videostyle.errors import StyleError
from videostyle.learned import LearnedStyle, load_style_file, wider
from videostyle.styles import (
    IDENTITY,
    BankLabel,
    NetConfig,
    StyleBank,
    StyleCard,
    StyleMix,
    check_name,
    read_label,
    unknown_style,
)

HOME_VARIABLE = "VIDEOSTYLE_HOME"


def shipped_folder() -> Path:
    """Where the banks of this project lie: inside an installed package, or at the top of a checkout."""
    package = Path(__file__).parent
    inside = package / "models"
    return inside if inside.is_dir() else package.parent / "models"


def own_folder() -> Path:
    """Where the user's own styles lie: ``styles`` in $VIDEOSTYLE_HOME or in the user's data folder. May not exist."""
    home = os.environ.get(HOME_VARIABLE)
    return (Path(home) if home else user_data_path("videostyle", appauthor=False)) / "styles"


def cache_folder() -> Path:
    """Where is kept what can be made again: ``cache`` in $VIDEOSTYLE_HOME or the user's cache folder. May not exist."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home) / "cache" if home else user_cache_path("videostyle", appauthor=False)


@dataclass(frozen=True, slots=True, eq=False)
class Shelved:
    """A style file of the library, a bank or a learned style. own: it lies in the user's folder and may be removed."""

    path: Path
    label: BankLabel
    own: bool

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(card.name for card in self.label.cards)


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One style of the library, the identity left out."""

    card: StyleCard
    shelved: Shelved


class Library:
    """All styles by name. A user's own style goes before a shipped one of the same name.

    notes: one line for each file that cannot be read and was passed over.
    """

    def __init__(self, shipped: Path | None = None, own: Path | None = None) -> None:
        self._shipped = shipped_folder() if shipped is None else shipped
        self._own = own_folder() if own is None else own
        self.notes: list[str] = []
        self._shelf: list[Shelved] = []
        self._reread()

    def _reread(self) -> None:
        self.notes.clear()
        self._shelf = [*self._read(self._own, own=True), *self._read(self._shipped, own=False)]

    def _read(self, folder: Path, *, own: bool) -> Iterator[Shelved]:
        for path in sorted(folder.glob("*.safetensors")):
            try:
                yield Shelved(path, read_label(path), own)
            except StyleError as error:
                self.notes.append(f"Passed over a style file: {error}")

    def entries(self) -> list[Entry]:
        """All styles: the shipped ones in the order of their banks, then the user's own. Not the identity."""
        found: dict[str, Entry] = {}
        for shelved in self._shelf:
            for card in shelved.label.cards:
                if card.name != IDENTITY:
                    found.setdefault(card.name, Entry(card, shelved))
        return sorted(found.values(), key=lambda entry: entry.shelved.own)

    def find(self, name: str) -> Entry:
        """The style called ``name``. Raises StyleError, with near matches, where there is none."""
        for shelved in self._shelf:
            for card in shelved.label.cards:
                if card.name == name:
                    return Entry(card, shelved)
        raise unknown_style(name, [entry.card.name for entry in self.entries()])

    def bank(self, mix: StyleMix) -> StyleBank:
        """The bank that paints ``mix``.

        Styles from several files join where the files share one body, as those learned on a shipped bank do. Raises
        StyleError for unknown names and for styles of different nets, which cannot be mixed.
        """
        named: dict[Path, str] = {}
        for name in mix.names:
            if name != IDENTITY or len(mix.names) == 1:
                named.setdefault(self.find(name).shelved.path, name)
        (path, leader), *others = named.items()
        whole = self.load(path)
        for path, name in others:
            bank = self.load(path)
            if bank.body_hash != whole.body_hash:
                raise StyleError(
                    f"{leader} and {name} belong to different nets ({whole.path} and {path}) and cannot be mixed: "
                    "choose styles of one bank (videostyle styles list)"
                )
            whole = _joined(whole, bank)
        return whole

    def extended(self, bank: StyleBank) -> StyleBank:
        """``bank`` with all styles of the library that its net can paint, too. Files that are damaged are left out."""
        body = bank.body_hash
        for shelved in {entry.shelved.path: entry.shelved for entry in self.entries()}.values():
            label = shelved.label
            if label.config != bank.config or label.body not in (None, body) or {*shelved.names} <= {*bank.names}:
                continue
            try:
                found = load_style_file(shelved.path)
            except StyleError:
                continue
            if isinstance(found, LearnedStyle):
                bank = found.on(bank)
            elif found.body_hash == body:
                bank = _joined(bank, found)
        return bank

    def lacks_body(self, entry: Entry) -> bool:
        """Whether a style was learned on a body that is not here, or not any more: it has to be learned again."""
        label = entry.shelved.label
        return label.body is not None and self._body(label.config, label.body) is None

    def _body(self, config: NetConfig, body_hash: str) -> StyleBank | None:
        """The bank that a learned style fits."""
        for shelved in self._shelf:
            if shelved.label.body is None and shelved.label.config == config:
                bank = StyleBank.load(shelved.path)
                if bank.body_hash == body_hash:
                    return bank
        return None

    def load(self, path: Path) -> StyleBank:
        """The bank in a file, or for a learned style that of the library which paints it, with the style joined.

        Raises StyleError where the file is damaged, and where the body is missing.
        """
        style = load_style_file(path)
        if isinstance(style, StyleBank):
            return style
        body = self._body(style.config, style.body)
        if body is None:
            raise StyleError(
                f"style {style.card.name!r} was learned on a net that is not here any more: learn it again, from the "
                f"pictures that are kept with it, by videostyle learn --again {style.card.name}"
            )
        return style.on(body)

    def take(self, name: str) -> StyleBank | LearnedStyle:
        """The style called ``name`` by itself, as ``add`` takes it. Raises StyleError where there is none."""
        style = load_style_file(self.find(name).shelved.path)
        if isinstance(style, LearnedStyle):
            return style
        rows = [row for row, known in enumerate(style.names) if known in (name, IDENTITY)]
        return replace(style, styles=style.styles[rows], cards=tuple(style.cards[row] for row in rows))

    def change(self, name: str, card: StyleCard) -> Path:
        """Give the user's own style ``name`` another card, and with it perhaps another name; returns its file.

        Raises StyleError for a style that is not the user's, and as ``add`` for the new name.
        """
        self._check_own(name)
        if card.name != name:
            self.check_free([card.name], force=False, otherwise=f"videostyle styles remove {card.name}")
        style = described(self.take(name), card)
        path = self.add(style, force=card.name == name)
        if card.name != name:
            self.remove(name)
        return path

    def add(self, bank: StyleBank | LearnedStyle, *, force: bool = False) -> Path:
        """Keep ``bank`` among the user's own styles, under the name of its first style; returns the file.

        Raises StyleError, with nothing written, where a name is malformed, shipped already, or the user's already and
        ``force`` is off.
        """
        names = [name for name in bank.names if name != IDENTITY]
        if not names:
            raise StyleError("a bank without styles cannot be added")
        self.check_free(names, force=force)
        try:
            self._own.mkdir(parents=True, exist_ok=True)
            path = self._free_path(names[0])
            bank.save(path)
            for shelved in [shelved for shelved in self._shelf if shelved.own]:
                self._drop(shelved, names)
            plain = self._own / f"{names[0]}.safetensors"
            if not plain.exists():  # it was taken by what has just been replaced
                if path.with_suffix(".json").exists():
                    path.with_suffix(".json").replace(plain.with_suffix(".json"))
                path = path.replace(plain)
        except (OSError, SafetensorError) as error:
            raise StyleError(f"{self._own} cannot be written: {error}") from error
        self._reread()
        return path

    def check_free(self, names: Collection[str], *, force: bool, otherwise: str = "--force") -> None:
        """Raises StyleError where ``add`` would refuse a style for its name. otherwise: what would make room for it."""
        for name in names:
            if check_name(name) == IDENTITY:
                raise StyleError(f"{name} is the photo itself in every bank: choose another name")
        for entry in self.entries():
            if entry.card.name not in names:
                continue
            if not entry.shelved.own:
                raise StyleError(f"style {entry.card.name!r} is shipped with videostyle: choose another name")
            if not force:
                raise StyleError(f"you have a style {entry.card.name!r} already: choose another name, or {otherwise}")

    def remove(self, name: str) -> Path:
        """Delete one of the user's own styles; returns the file that held it. Raises StyleError for any other."""
        shelved = self._check_own(name)
        try:
            self._drop(shelved, [name])
        except (OSError, SafetensorError) as error:
            raise StyleError(f"{shelved.path} cannot be removed: {error}") from error
        self._reread()
        return shelved.path

    def _check_own(self, name: str) -> Shelved:
        shelved = self.find(name).shelved
        if name == IDENTITY or not shelved.own:
            raise StyleError(f"style {name!r} is shipped with videostyle and stays; only your own can be changed")
        return shelved

    def _free_path(self, name: str) -> Path:
        stems = [name, *(f"{name}-{number}" for number in range(2, 1000))]
        paths = [self._own / f"{stem}.safetensors" for stem in stems]
        return next(path for path in paths if not path.exists())

    @staticmethod
    def _drop(shelved: Shelved, names: Collection[str]) -> None:
        """Take styles out of a file, and the file away once it holds no other."""
        keep = [row for row, name in enumerate(shelved.names) if name not in names]
        if len(keep) == len(shelved.names):
            return
        if any(shelved.names[row] != IDENTITY for row in keep):
            bank = StyleBank.load(shelved.path)
            cards = tuple(bank.cards[row] for row in keep)
            replace(bank, styles=bank.styles[keep], cards=cards).save(shelved.path)
        else:
            shelved.path.unlink()
            shelved.path.with_suffix(".json").unlink(missing_ok=True)


def _joined(bank: StyleBank, other: StyleBank) -> StyleBank:
    """``bank`` with the styles that only ``other``, of the same body, has, behind its own."""
    fresh = [row for row, card in enumerate(other.cards) if card.name not in bank.names]
    cards = (*bank.cards, *(other.cards[row] for row in fresh))
    styles, ranges = np.concatenate([bank.styles, other.styles[fresh]]), wider(bank.ranges, other.ranges)
    return replace(bank, styles=styles, cards=cards, ranges=ranges)


def described(style: StyleBank | LearnedStyle, card: StyleCard) -> StyleBank | LearnedStyle:
    """A style by itself, as ``Library.take`` gives it, under another card."""
    if isinstance(style, LearnedStyle):
        return replace(style, card=card)
    return style.with_cards(tuple(old if old.name == IDENTITY else card for old in style.cards))
