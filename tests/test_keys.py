"""The table of keys: whole, free of doubles, and the same everywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from videostyle.keys import KEYS, Action, action_of, markdown

README = Path(__file__).parent.parent / "README.md"


def test_every_action_has_its_row_and_no_key_two() -> None:
    assert {key.action for key in KEYS} == set(Action)
    names = [name for key in KEYS for name in key.names]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("3", Action.STYLE),
        ("0", None),
        ("n", Action.NEXT),
        ("N", Action.PREVIOUS),
        ("right", Action.NEXT),
        ("X", Action.SPLIT),
        ("f12", Action.SNAPSHOT),
        ("escape", Action.BACK),
        ("z", None),
        ("", None),
    ],
)
def test_keys_mean_what_the_table_says(name: str, action: Action | None) -> None:
    assert action_of(name) is action


def test_the_module_prints_the_table_of_the_readme() -> None:
    said = subprocess.run([sys.executable, "-m", "videostyle.keys"], capture_output=True, text=True, check=True).stdout
    assert said.rstrip("\n") == markdown()
    readme = README.read_text(encoding="utf-8")
    if "| key | what it does |" in readme:
        assert markdown() in readme, "paste the output of python -m videostyle.keys"
