"""What a check-up finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. status: "fail" where ``videostyle video`` cannot run for it, "warn" where something else cannot.

    found: what there is, one line an item. mend: what to do about a fault, in one line; "" where there is none.
    """

    name: str
    status: Status
    found: str
    mend: str = ""
