"""``videostyle video INPUT OUTPUT``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from videostyle.cli.common import (
    Painting,
    check_paths,
    encoding_options,
    force_option,
    painting_options,
    report_options,
    tell,
    tell_report,
)
from videostyle.stats import RunReport
from videostyle.styles import IDENTITY

if TYPE_CHECKING:
    from videostyle.frame import Frame
    from videostyle.stylizer import Stylizer


@click.command()
@click.argument("source", metavar="INPUT")
@click.argument("output", metavar="OUTPUT")
@painting_options
@encoding_options
@force_option
@report_options
def command(source: str, output: str, painting: Painting, encoding: dict[str, Any], force: bool, as_json: bool) -> None:
    """Paint the video INPUT frame by frame and write OUTPUT, with the sound, subtitles and chapters of INPUT.

    \b
    videostyle video holiday.mp4 painted.mp4 --style starry-night
    videostyle video holiday.mp4 painted.mp4 --style starry-night:0.7,great-wave:0.3 --strength 0.8
    """
    check_paths(source, output, force=force)
    report = paint_video(source, output, painting, force=force, encoding=encoding)
    tell_report(report, as_json=as_json)


def paint_video(
    source: str | Path,
    output: str | Path,
    painting: Painting,
    *,
    force: bool,
    encoding: dict[str, Any] | None = None,
    steer: Callable[[Stylizer, Sequence[str], Frame], None] | None = None,
) -> RunReport:
    """Paint ``source`` into ``output`` and show on stderr how far it is. All that can be wrong is found before frame 1.

    encoding: keyword arguments for the sink. steer: called before each frame, with the names of the bank's styles.
    """
    from videostyle.cli.progress import RunProgress
    from videostyle.pipeline import Pipeline
    from videostyle.sinks import open_sink
    from videostyle.sources import open_source

    mix, bank = painting.choose()
    with ExitStack() as ends:
        frames = open_source(source)
        ends.callback(frames.close)
        engine, stylizer = painting.start(mix, bank, throughput=True)
        ends.callback(engine.close)
        ends.callback(stylizer.close)
        sink = open_sink(output, stylizer.output_info(frames.info), force=force, **(encoding or {}))
        ends.callback(sink.close, complete=False)  # changes nothing once the pipeline has closed it
        progress = RunProgress()
        names = [name for name in bank.names if name != IDENTITY]

        def steered(captured: Iterator[Frame]) -> Iterator[Frame]:
            for frame in captured:
                if steer is not None:
                    steer(stylizer, names, frame)
                yield frame

        paint = stylizer.stream
        if painting.smooth == "best":
            from videostyle.keyframes.both_ways import BothWays

            paint = BothWays(stylizer).stream
        pipeline = Pipeline(frames, lambda captured: paint(steered(captured)), sink, progress)
        try:
            with progress:
                report = pipeline.run()
        except BaseException:
            if sink.output is not None and pipeline.frames_out:
                tell(f"{sink.output} holds the {pipeline.frames_out} frames so far")
            raise
        return report.on(engine)
