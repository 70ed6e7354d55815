"""``videostyle styles``: which styles there are, how they look, and the user's own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from videostyle.cli.common import Painting, emit, force_option, painting_options, report_options, tell
from videostyle.errors import StyleError
from videostyle.library import Entry, Library
from videostyle.styles import IDENTITY, StyleBank, StyleCard, StyleMix, check_name, is_bank, parse_mix

if TYPE_CHECKING:
    from videostyle.frame import Image

MARGIN, LABEL = 12, 26
PAPER, INK = (250, 249, 246), (40, 40, 40)


@click.group(invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """The styles of this installation and your own. Without a command: list."""
    if context.invoked_subcommand is None:
        context.invoke(list_styles, as_json=False)


@command.command("list")
@report_options
def list_styles(as_json: bool) -> None:
    """List all styles."""
    library = _library()
    entries = library.entries()
    if as_json:
        emit({"styles": [_describe(entry) for entry in entries], "notes": library.notes})
        return
    if not entries:
        tell("There are no styles here yet: videostyle styles add FILE --name NAME")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name", no_wrap=True)
    for title in ("title", "artist", "year", "from"):
        table.add_column(title)
    for entry in entries:
        card = entry.card
        table.add_row(card.name, card.title, card.artist, card.year, "you" if entry.shelved.own else "videostyle")
    Console(markup=False, highlight=False).print(table)


@command.command("show")
@click.argument("name")
@report_options
def show(name: str, as_json: bool) -> None:
    """Show where the style NAME comes from, its net and how good it is."""
    entry = _library().find(name)
    described = _describe(entry) | {"recipe": dict(entry.shelved.label.recipe)}
    if as_json:
        emit(described)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in described.items():
        lines = [f"{k}: {v}" for k, v in value.items()] if isinstance(value, dict) else [str(value)]
        text = ", ".join(value) if isinstance(value, list) else "\n".join(lines)
        if text:
            table.add_row(key, text)
    Console(markup=False, highlight=False).print(table)


@command.command("sheet")
@click.argument("photo", metavar="PHOTO", type=click.Path(path_type=Path))
@click.argument("output", metavar="OUT.png", type=click.Path(path_type=Path))
@click.option("--columns", type=click.IntRange(min=1), metavar="N", help="Pictures side by side; by default a square.")
@click.option(
    "--size", type=click.IntRange(min=32), default=360, show_default=True, metavar="N", help="Longer side of a picture."
)
@painting_options
@force_option
@report_options
def sheet(
    photo: Path, output: Path, columns: int | None, size: int, painting: Painting, force: bool, as_json: bool
) -> None:
    """Paint PHOTO in every style, or in that of --style, and write all of them on one labelled sheet."""
    from videostyle.pictures import check_picture_target, load_picture, save_picture

    check_picture_target(output, force=force)
    library = _library()
    if not library.entries():
        raise StyleError("there are no styles to paint in: videostyle styles add FILE --name NAME")
    picture = load_picture(photo, max_side=min(size, painting.max_side or size))
    cells = [("photo", picture), *_paint_all(library, picture, painting)]
    page = compose(cells, columns or math.ceil(math.sqrt(len(cells))))
    save_picture(output, page, force=force)
    names = [label for label, _ in cells[1:]]
    if as_json:
        emit({"output": str(output), "size": [page.shape[1], page.shape[0]], "styles": names})
    tell(f"{output}: {len(names)} styles, {page.shape[1]}x{page.shape[0]}")


@command.command("add")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="What to call the style: lower-case letters, digits, hyphens.")
@click.option("--title", default="", help="The picture it was learned from.")
@click.option("--artist", default="", help="Who made that picture.")
@click.option("--year", default="", help="When.")
@click.option("--rights", default="", help="Its licence, and that of the weights.")
@force_option
@report_options
def add(file: Path, name: str, title: str, artist: str, year: str, rights: str, force: bool, as_json: bool) -> None:
    """Keep the style in FILE as your own: a checkpoint of PyTorch's fast_neural_style example (.pth, .safetensors),
    or a style that videostyle learned elsewhere."""
    check_name(name)
    card = StyleCard(name, title, artist, year, rights)
    bank = _renamed(StyleBank.load(file), card, file) if is_bank(file) else _imported(file, card)
    path = _library().add(bank, force=force)
    if as_json:
        emit({"added": name, "path": str(path)})
    tell(f"Added {name} ({path}). Try it: videostyle image PHOTO OUT.png --style {name}")


@command.command("remove")
@click.argument("name")
@report_options
def remove(name: str, as_json: bool) -> None:
    """Delete your own style NAME. Those that are shipped stay."""
    path = _library().remove(name)
    if as_json:
        emit({"removed": name, "path": str(path)})
    tell(f"Removed {name} ({path}).")


def _library() -> Library:
    library = Library()
    tell(*(f"note: {note}" for note in library.notes))
    return library


def _describe(entry: Entry) -> dict[str, Any]:
    """A style as JSON says it."""
    label = entry.shelved.label
    others = [name for name in entry.shelved.names if name not in (IDENTITY, entry.card.name)]
    about = {"own": entry.shelved.own, "bank": str(entry.shelved.path), "net": asdict(label.config), "beside": others}
    return {**asdict(entry.card), "quality": dict(entry.card.quality), **about}


def _imported(file: Path, card: StyleCard) -> StyleBank:
    from videostyle.fast_neural_style import read_checkpoint

    return read_checkpoint(file, card)


def _renamed(bank: StyleBank, card: StyleCard, file: Path) -> StyleBank:
    """A bank of one style under another name; what ``card`` leaves open stays as it was."""
    named = [name for name in bank.names if name != IDENTITY]
    if len(named) != 1:
        raise StyleError(f"{file} holds {len(named)} styles: only files of a single one can be added")
    given = {key: value for key, value in asdict(card).items() if value}
    cards = tuple(replace(other, **given) if other.name != IDENTITY else other for other in bank.cards)
    return bank.with_cards(cards)


def _paint_all(library: Library, picture: Image, painting: Painting) -> Iterator[tuple[str, Image]]:
    """Labels and paintings of ``picture``, bank by bank, so that each net is loaded once."""
    from fractions import Fraction

    from videostyle.frame import Frame

    mixes: dict[Path | None, list[StyleMix]] = {}
    if painting.style is not None:
        mixes[None] = [parse_mix(painting.style)]
    else:
        for entry in library.entries():
            mixes.setdefault(entry.shelved.path, []).append(StyleMix(((entry.card.name, 1.0),)))
    for together in mixes.values():
        try:
            bank = library.bank(together[0])
        except StyleError as error:
            if painting.style is not None:
                raise
            tell(f"note: left out: {error}")
            continue
        engine, stylizer = painting.start(together[0], bank)
        try:
            for mix in together:
                stylizer.set_style(mix)
                yield str(mix), stylizer(Frame(picture, 0, 0, Fraction(1), 0.0)).image
        finally:
            engine.close()


def compose(cells: list[tuple[str, Image]], columns: int) -> Image:
    """One sheet, uint8 RGB, of labelled pictures, uint8 RGB (H, W, 3) of one size, row by row."""
    import numpy as np
    from PIL import Image as Pil
    from PIL import ImageDraw, ImageFont

    columns = min(columns, len(cells))
    height, width, _ = cells[0][1].shape
    across, down = width + MARGIN, height + LABEL + MARGIN
    page = Pil.new("RGB", (MARGIN + columns * across, MARGIN + math.ceil(len(cells) / columns) * down), PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    for position, (label, picture) in enumerate(cells):
        left, top = MARGIN + position % columns * across, MARGIN + position // columns * down
        page.paste(Pil.fromarray(picture), (left, top))
        while label and draw.textlength(label, font) > width:
            label = label.removesuffix("…")[:-1] + "…" if len(label) > 2 else ""
        draw.text((left, top + height + 4), label, INK, font)
    return np.array(page)
