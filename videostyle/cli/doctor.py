"""``videostyle doctor``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from videostyle.cli.common import emit, report_options

if TYPE_CHECKING:
    from videostyle.doctor import Check

LOOKS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@click.command()
@report_options
def command(as_json: bool) -> int:
    """Check what of videostyle works on this computer, and say how to mend the rest.

    Exit code 0 where videos can be painted, 1 where not.
    """
    from videostyle import __version__
    from videostyle.doctor import examine, healthy

    checks = list(examine())
    well = healthy(checks)
    if as_json:
        emit({"videostyle": __version__, "healthy": well, "checks": [asdict(check) for check in checks]})
    else:
        show(checks)
        click.echo(f"videostyle {__version__} can{'' if well else 'not'} paint videos on this computer.")
    return 0 if well else 1


def show(checks: list[Check]) -> None:
    """A table on stdout: each finding, and below a fault how to mend it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("check", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("found", overflow="fold")
    for check in checks:
        found = Text(check.found)
        if check.mend:
            found.append(f"\nmend: {check.mend}", style="bold")
        table.add_row(Text(check.name), Text(check.status, style=LOOKS[check.status]), found)
    # Wide enough for commands to be copied in one piece where nobody looks at a terminal.
    Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 200).print(table)
