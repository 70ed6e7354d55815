"""``videostyle styles``: which styles there are, how they look, and the user's own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from videostyle.cli.common import (
    Painting,
    card_options,
    check_paths,
    emit,
    force_option,
    painting_options,
    report_options,
    tell,
)
from videostyle.errors import StyleError, UsageError
from videostyle.learned import LearnedStyle, load_style_file
from videostyle.library import Entry, Library, described
from videostyle.output import check_target, write_error
from videostyle.pictures import FORMATS
from videostyle.styles import IDENTITY, StyleBank, StyleCard, StyleMix, check_name, is_bank, parse_mix

if TYPE_CHECKING:
    from videostyle.frame import Image

MARGIN, LABEL = 12, 26
PAPER, INK = (250, 249, 246), (40, 40, 40)


@click.group(invoke_without_command=True)
@click.pass_context
@report_options
def command(context: click.Context, as_json: bool) -> None:
    """The styles of this installation and your own. Without a command: list."""
    if context.invoked_subcommand is None:
        context.invoke(list_styles, as_json=as_json)


@command.command("list")
@report_options
def list_styles(as_json: bool) -> None:
    """List all styles."""
    library = _library()
    entries = library.entries()
    if as_json:
        styles = [_describe(entry) | {"usable": not library.lacks_body(entry)} for entry in entries]
        emit({"styles": styles, "notes": library.notes})
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
        card, source = entry.card, "you" if entry.shelved.own else "videostyle"
        if library.lacks_body(entry):
            source += f" (its net is gone: videostyle learn --again {card.name})"
        table.add_row(card.name, card.title, card.artist, card.year, source)
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

    check_paths(photo, output, force=force)
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
@click.option("--name", help="What to call the style: lower-case letters, digits, hyphens. Left out: as FILE calls it.")
@card_options
@force_option
@report_options
def add(file: Path, name: str | None, about: dict[str, Any], force: bool, as_json: bool) -> None:
    """Keep the style in FILE as your own: a style that videostyle learned elsewhere, or a checkpoint of PyTorch's
    fast_neural_style example (.pth, .safetensors), which needs a --name."""
    library = _library()
    style = _single(file, about if name is None else {**about, "name": check_name(name)})
    path = library.add(style, force=force)
    name = next(name for name in style.names if name != IDENTITY)
    if as_json:
        emit({"added": name, "path": str(path)})
    tell(f"Added {name} ({path}). Try it: videostyle image PHOTO OUT.png --style {name}")
    if library.lacks_body(library.find(name)):
        tell(f"note: it was learned on a net that is not here: videostyle learn --again {name}")


command.add_command(add, "import")


@command.command("export")
@click.argument("name")
@click.argument("file", metavar="FILE.safetensors", type=click.Path(path_type=Path))
@force_option
@report_options
def export(name: str, file: Path, force: bool, as_json: bool) -> None:
    """Write the style NAME to a file, which styles import keeps on another computer."""
    if file.suffix != ".safetensors":
        raise UsageError(f"{file}: a style is a .safetensors file")
    style = _library().take(name)
    card_file = None if isinstance(style, LearnedStyle) else file.with_suffix(".json")
    for path in filter(None, (file, card_file)):
        check_target(path, force=force)
    try:
        style.save(file)
    except OSError as error:
        raise write_error(error, file) from error
    if as_json:
        emit({"exported": name, "path": str(file)})
    card = f" and its card {card_file}" if card_file else ""
    tell(f"Exported {name}: {file}{card}.")


@command.command("rename")
@click.argument("name")
@click.argument("new_name")
@report_options
def rename(name: str, new_name: str, as_json: bool) -> None:
    """Call your own style NAME by NEW_NAME."""
    library = _library()
    path = library.change(name, replace(library.find(name).card, name=new_name))
    if as_json:
        emit({"renamed": new_name, "path": str(path)})
    tell(f"{name} is now {new_name} ({path}).")


@command.command("describe")
@click.argument("name")
@card_options
@report_options
def describe(name: str, about: dict[str, Any], as_json: bool) -> None:
    """Fill in the card of your own style NAME: where its picture comes from, and whose it is."""
    if not about:
        raise UsageError("nothing to fill in: give --title, --artist, --year or --rights")
    library = _library()
    path = library.change(name, replace(library.find(name).card, **about))
    if as_json:
        emit({"described": name, "path": str(path)} | about)
    tell(f"{name}: {', '.join(f'{key} {value!r}' for key, value in about.items())} ({path})")


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


def _single(file: Path, given: dict[str, Any]) -> StyleBank | LearnedStyle:
    """The one style in a file; its card says what is ``given``, and what it said where that leaves something open."""
    if not file.is_file():
        raise UsageError(f"{file}: {'a folder' if file.is_dir() else 'No such file'}; a style is one file")
    if file.suffix.lower() in FORMATS:
        raise UsageError(f"{file} is a picture: videostyle learn {file} --name NAME makes a style of it")
    if not is_bank(file):
        from videostyle.fast_neural_style import read_checkpoint

        if "name" not in given:
            raise UsageError(f"{file} does not say what its style is called: give it a --name")
        return read_checkpoint(file, StyleCard(**given))
    style = load_style_file(file)
    named = [style.card] if isinstance(style, LearnedStyle) else [c for c in style.cards if c.name != IDENTITY]
    if len(named) != 1:
        raise StyleError(f"{file} holds {len(named)} styles: only files of a single one can be added")
    return described(style, replace(named[0], **given))


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
