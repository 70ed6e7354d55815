"""A film that is read several times, at the size it is painted at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from videostyle.errors import UsageError
from videostyle.frame import Frame, StreamInfo
from videostyle.sources import open_source
from videostyle.sources.images import ImagesSource
from videostyle.stylizer import fit, resize


@dataclass
class Film:
    """spec, options: as ``open_source`` takes them. max_side: no side is longer.

    ``info`` is of the frames as they are painted; ``files`` are what they are read from, none for an address; ``notes``
    are those of the last reading.
    Raises SourceError for what cannot be read, UsageError for what is live and so cannot be read twice.
    """

    spec: str
    max_side: int | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        source = open_source(self.spec, **self.options)
        source.close()
        if source.info.live:
            raise UsageError(f"{self.spec} is live, and keyframes need a film that can be read again: record it first")
        self.size = fit(source.info.width, source.info.height, self.max_side)
        self.info: StreamInfo = replace(source.info, width=self.size[0], height=self.size[1])
        origin = [] if source.info.origin is None else [source.info.origin]
        self.files: list[Path] = source.paths if isinstance(source, ImagesSource) else origin
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[Frame]:
        """From the beginning, numbered without gaps."""
        source = open_source(self.spec, **self.options)
        try:
            for number, frame in enumerate(source):
                yield replace(frame, index=number, image=resize(frame.image, self.size))
            self.notes[:] = source.notes
        finally:
            source.close()
