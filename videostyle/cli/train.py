"""``videostyle train``: a bank of styles from pictures and photos."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from videostyle.cli.common import emit, force_option, report_options, tell
from videostyle.errors import UsageError
from videostyle.output import check_target
from videostyle.styles import NetConfig, StyleBank, StyleCard
from videostyle.train import Progress, Trainer
from videostyle.train_data import PICTURES
from videostyle.train_options import StyleSpec, TrainOptions, options_from

PRACTICE_WEIGHT = 0.5
"""Of the style of pictures that are only practised on: flat or faint ones have distances ten times those of others."""
LINE_EVERY = 100
"""Steps between two lines where stderr is no terminal."""


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """One option for each field of TrainOptions and NetConfig, which know the defaults."""
    for kind in (NetConfig, TrainOptions):
        for field in reversed(fields(kind)):
            if field.name == "kind":
                continue
            flag, default = "--" + field.name.replace("_", "-"), field.default
            text = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
            if isinstance(default, bool):
                option = click.option(flag + "/--no" + flag[1:], field.name, default=None, help=f"[default: {text}]")
            else:
                of = str if isinstance(default, tuple) else type(default)
                option = click.option(flag, field.name, type=of, default=None, help=f"[default: {text}]")
            command = option(command)
    return command


def pictures_in(folder: Path) -> list[Path]:
    """All pictures of a folder, by name. Raises UsageError where there is no such folder."""
    if not folder.is_dir():
        raise UsageError(f"no folder of pictures at {folder}")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)


def style_specs(table: list[Mapping[str, Any]], pictures: Path) -> list[StyleSpec]:
    """The styles of a configuration; without any, every picture of the folder is one, named after its file."""
    found = pictures_in(pictures)
    if not table:
        return [StyleSpec(path, StyleCard(path.stem)) for path in found]
    specs = []
    for row in table:
        entry = dict(row)
        try:
            picture = pictures / entry.pop("picture")
            kinds = {"style_weight": float, "content_weight": float, "share": int}
            own: dict[str, Any] = {key: of(entry.pop(key)) for key, of in kinds.items() if key in entry}
            specs.append(StyleSpec(picture, StyleCard(**{"name": picture.stem, **entry}), **own))
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"[[style]] {dict(row)}: {error}") from error
        if not picture.is_file():
            raise UsageError(f"no picture at {picture}")
    return specs


def read_config(path: Path | None) -> dict[str, Any]:
    """The tables [options], [net], [data] and [[style]] of a TOML file."""
    if path is None:
        return {}
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read as TOML: {error}") from error
    if unknown := set(config) - {"options", "net", "data", "style"}:
        raise UsageError(f"{path}: no table [{min(unknown)}]; there are [options], [net], [data] and [[style]]")
    return config


class Teller:
    """Losses and time left: a bar where stderr is a terminal, else a line now and then."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = Bar(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
        self.task = self.bar.add_task("starting")

    def __call__(self, progress: Progress) -> None:
        text = " ".join(f"{k} {progress.losses[k]:.3f}" for k in ("style", "content") if k in progress.losses)
        self.bar.update(self.task, description=text, completed=progress.step, total=progress.steps)
        if progress.preview:
            self.bar.console.print(f"preview: {progress.preview}")
        if self.bar.disable and progress.step % LINE_EVERY == 0:
            tell(f"step {progress.step} of {progress.steps}: {text}, {progress.seconds_left / 60:.0f} minutes left")


@click.command
@click.argument("config", type=click.Path(path_type=Path), required=False)
@click.option("--photos", type=click.Path(path_type=Path), required=True, help="Folder of photos to learn on.")
@click.option("--pictures", type=click.Path(path_type=Path), required=True, help="Folder of pictures to learn from.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The bank: NAME.safetensors.")
@click.option("--work", type=click.Path(path_type=Path), help="Checkpoint, log and previews  [default: OUT's, .work]")
@click.option("--extend", type=click.Path(path_type=Path), help="Add styles to this bank; its body stays as it is.")
@click.option(
    "--start", type=click.Path(path_type=Path), help="Begin with this bank's weights, pruned where it is wider."
)
@click.option("--teacher", type=click.Path(path_type=Path), help="Copy this bank's paintings, too: for a smaller net.")
@click.option(
    "--practice", type=click.Path(path_type=Path), help="Folder of pictures that only widen what the body can do."
)
@click.option("--perceptual", metavar="FILE", help="VGG weights, or vgg16 or vgg19 for torchvision's download.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@force_option
@training_options
@report_options
def command(
    config: Path | None,
    photos: Path,
    pictures: Path,
    out: Path,
    work: Path | None,
    extend: Path | None,
    start: Path | None,
    teacher: Path | None,
    practice: Path | None,
    perceptual: str | None,
    device: str,
    force: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Learn a bank of styles: one for each picture, on a folder of photos.

    CONFIG is a TOML file with [options], [net], [data] (what the card says of photos and pictures) and one [[style]] a
    picture (picture, name, title, artist, year, rights, style_weight, content_weight, share); options given here go
    before it. Run it again with the same --work to go on where it was interrupted.
    """
    import torch

    from videostyle.perceptual import load_perceptual

    if out.suffix != ".safetensors":
        raise UsageError(f"{out}: a bank is a .safetensors file")
    check_target(out, force=force)
    table = read_config(config)
    for field in fields(TrainOptions):
        if isinstance(field.default, tuple) and given[field.name] is not None:
            of = type(field.default[0])
            given[field.name] = tuple(of(part) for part in given[field.name].split(","))
    chosen = {key: value for key, value in given.items() if value is not None}
    net_fields = {field.name for field in fields(NetConfig)}
    net = {**table.get("net", {}), **{k: v for k, v in chosen.items() if k in net_fields}}
    options = options_from({**table.get("options", {}), **{k: v for k, v in chosen.items() if k not in net_fields}})
    specs = style_specs(table.get("style", []), pictures)
    for path in pictures_in(practice) if practice else ():
        specs.append(StyleSpec(path, StyleCard(f"practice-{path.stem}"), PRACTICE_WEIGHT, practice=True))
    base = StyleBank.load(extend) if extend else None
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    beside = f" and practising {extra} more" if (extra := sum(spec.practice for spec in specs)) else ""
    tell(f"learning {len(specs) - extra} styles{beside} on {device} in {options.precision}")
    deepest = max(*options.style_layers, options.content_layer)
    trainer = Trainer(
        specs,
        photos,
        work or out.with_suffix(".work"),
        options,
        NetConfig(**net),
        base,
        load_perceptual(perceptual, deepest=deepest),
        device,
        table.get("data", {}),
        StyleBank.load(start) if start else None,
        StyleBank.load(teacher) if teacher else None,
    )
    if trainer.step:
        tell(f"going on from step {trainer.step} of {trainer.checkpoint}")
    teller = Teller()
    try:
        with teller.bar:
            bank = trainer.run(teller)
    except KeyboardInterrupt:
        tell(f"stopped at step {trainer.step} of {options.steps}: the same command goes on from there")
        raise
    bank.save(out)
    tell(f"{out}: {', '.join(bank.names)}")
    if as_json:
        emit({"output": str(out), "styles": list(bank.names), "steps": trainer.step, "losses": trainer.recent})


__all__ = ["command"]
