"""One run of ``videostyle keyframes``: from options to a film, going on where an earlier run was interrupted."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from videostyle import __version__
from videostyle.cli.common import Painting, tell
from videostyle.cli.optimizing import Optimizing, PaintProgress, library_net
from videostyle.errors import UsageError
from videostyle.keyframes.options import KeyframeOptions
from videostyle.optimize_options import StylePicture
from videostyle.stats import RunReport

if TYPE_CHECKING:
    from videostyle.keyframes.carry import Fill
    from videostyle.keyframes.film import Film
    from videostyle.keyframes.flows import Flows
    from videostyle.keyframes.plan import Plan
    from videostyle.keyframes.work import WorkFolder
    from videostyle.optimize import PictureOptimizer

PREVIEW_SIDE, PREVIEW_ITERATIONS = 320, 40
"""A preview is no larger, and has no more iterations at each size, than this."""


@dataclass
class Job:
    """One film to paint. encoding: keyword arguments for the sink."""

    source: str
    output: Path
    optimizing: Optimizing
    painting: Painting
    options: KeyframeOptions
    force: bool
    encoding: dict[str, Any]

    def run(self) -> RunReport:
        """All of it. What can be wrong is found before anything is painted."""
        from videostyle.keyframes.flows import Flows, make_finder

        began, wish = perf_counter(), self.options
        film = self._film()
        self._try_sink(film)
        optimizer, pictures = self._optimizer(film)
        found = self._painted(film)
        device = optimizer.device if optimizer else "cpu"
        find = make_finder(wish.flow, device)
        work = self._work(film, optimizer, pictures, found)
        flows = Flows(find, work.folder / "flows", wish.flow_cache * 1_000_000)
        plan = self._plan(work, film, flows, found)
        self._say_room(work, film, plan)
        if found is None:
            assert optimizer is not None
            self._paint(optimizer, film, plan, flows, work)
        report = self._carry(film, plan, flows, work, self._fill(optimizer, film, plan, work))
        flows.clear()
        tell(f"{work.folder} holds the keyframes: delete it when you need them no more")
        seconds = perf_counter() - began
        return replace(
            report,
            seconds=seconds,
            fps=report.frames_out / seconds,
            engine="optimisation" if found is None else "painted",
            precision=optimizer.precision if optimizer else "fp32",
            device=device,
        )

    def _film(self) -> Film:
        from videostyle.keyframes.film import Film

        side, seconds = self.painting.max_side, self.options.preview
        if seconds is None:
            return Film(self.source, side)
        return Film(self.source, min(side or PREVIEW_SIDE, PREVIEW_SIDE), {"duration": seconds})

    def _try_sink(self, film: Film) -> None:
        """Refuse now what the sink would refuse when all is painted."""
        from videostyle.sinks import open_sink

        open_sink(str(self.output), film.info, force=self.force, **self.encoding).close(complete=False)

    def _optimizer(self, film: Film) -> tuple[PictureOptimizer | None, tuple[StylePicture, ...]]:
        """None where nothing is to be optimised."""
        if self.options.painted is not None and self.options.fill != "optimize":
            if self.optimizing.asked:
                raise UsageError(
                    "with --painted nothing is optimised, unless by --fill optimize: no --style-image then"
                )
            if self.painting.style is not None and self.options.fill != "bank":
                raise UsageError("with --painted a --style is of use to --fill bank only: leave it out")
            self.optimizing.check(self.painting)
            return None, ()
        pictures, options = self.optimizing.resolve(self.painting)
        if self.options.preview is not None:
            options = replace(options, iterations=min(options.iterations, PREVIEW_ITERATIONS))
        first = next(iter(film)).image
        return self.optimizing.load(pictures, options, self.painting.device, first), pictures

    def _painted(self, film: Film) -> dict[int, Path] | None:
        from videostyle.keyframes.paint import import_painted

        return None if self.options.painted is None else import_painted(self.options.painted, film.size)

    def _work(
        self,
        film: Film,
        optimizer: PictureOptimizer | None,
        pictures: tuple[StylePicture, ...],
        found: dict[int, Path] | None,
    ) -> WorkFolder:
        import torch

        from videostyle.keyframes.work import WorkFolder, fingerprint

        wish = self.options
        stats = [(path.name, path.stat()) for path in film.files]
        read: list[Any] = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats] or [self.source]
        job = {
            "version": __version__,
            "film": read,
            "size": film.size,
            "pictures": [
                [fingerprint(of.picture), of.weight, fingerprint(of.mask) if of.mask else None] for of in pictures
            ],
            "painting": asdict(optimizer.options) if optimizer else None,
            "network": optimizer.network if optimizer else None,
            "precision": optimizer.precision if optimizer else None,
            "style": self.painting.style,
            "keyframes": [wish.every, wish.at, {str(number): fingerprint(of) for number, of in (found or {}).items()}],
            "consistency": wish.consistency,
            "flow": wish.flow,
            "preview": wish.preview,
            "torch": torch.__version__,
        }
        default = self.output.with_name(self.output.name + (".work" if wish.preview is None else ".preview.work"))
        work = WorkFolder(wish.work or default, job)
        # Sums over another number of threads round differently.
        torch.set_num_threads(work.read("threads.json") or torch.get_num_threads())
        work.write("threads.json", torch.get_num_threads())
        for number, picture in (found or {}).items():
            work.keyframe(number).write_bytes(picture.read_bytes())
        return work

    def _plan(self, work: WorkFolder, film: Film, flows: Flows, found: dict[int, Path] | None) -> Plan:
        from videostyle.keyframes.plan import Plan, make_plan

        known = work.read("plan.json")
        if known is None:
            tell("looking for scenes and keyframes")
            at = self.options.at if found is None else sorted(found)
            plan = make_plan(film, flows, every=self.options.every, at=at)
            work.write("plan.json", asdict(plan))
            return plan
        return Plan(known["frames"], tuple(known["scenes"]), tuple(known["keyframes"]))

    def _say_room(self, work: WorkFolder, film: Film, plan: Plan) -> None:
        """How much is to be done, and how much the work folder will hold at most. Raises UsageError without room."""
        from videostyle.keyframes.work import room

        needed = room(film.size, plan.frames, len(plan.keyframes), self.options)
        tell(
            f"{plan.frames} frames in {len(plan.scenes)} scenes, {len(plan.keyframes)} keyframes; "
            f"{work.folder} will hold {needed / 1e6:.0f} MB at most"
        )
        work.check_room(needed)

    def _paint(self, optimizer: PictureOptimizer, film: Film, plan: Plan, flows: Flows, work: WorkFolder) -> None:
        from videostyle.keyframes.paint import KeyframePainter

        done = sum(work.keyframe(number).is_file() for number in plan.keyframes)
        if done:
            tell(f"going on: {done} of {len(plan.keyframes)} keyframes are painted already")
        begin = None
        if optimizer.options.start == "bank" and done < len(plan.keyframes):
            begin = library_net(self.painting.style, next(iter(film)).image, optimizer.style_distance, optimizer.device)
        with PaintProgress(len(plan.keyframes), "keyframe", before=done) as progress:
            KeyframePainter(
                optimizer,
                flows,
                work,
                consistency=self.options.consistency,
                begin=begin,
                told=progress,
                finished=progress.finish,
            ).paint(film, plan)

    def _fill(self, optimizer: PictureOptimizer | None, film: Film, plan: Plan, work: WorkFolder) -> Fill | None:
        from videostyle.keyframes.fill import apart, bank_fill, optimizing_fill
        from videostyle.pictures import load_picture

        if self.options.fill == "warp":
            return None
        if self.options.fill == "optimize":
            assert optimizer is not None
            return optimizing_fill(optimizer, work)
        pair = next(
            (frame.image, load_picture(work.keyframe(frame.index))) for frame in film if frame.index in plan.keyframes
        )
        net = library_net(self.painting.style, pair[0], lambda image: apart(image, pair[1]))
        return bank_fill(net, film, plan, work)

    def _carry(self, film: Film, plan: Plan, flows: Flows, work: WorkFolder, fill: Fill | None) -> RunReport:
        from videostyle.cli.progress import RunProgress
        from videostyle.keyframes.carry import CarriedFilm
        from videostyle.pipeline import Pipeline
        from videostyle.sinks import open_sink

        with ExitStack() as ends:
            carried = CarriedFilm(film, plan, flows, work, fill=fill, keep_color=self.painting.keep_color)
            sink = open_sink(str(self.output), carried.info, force=self.force, **self.encoding)
            ends.callback(sink.close, complete=False)  # changes nothing once the pipeline has closed it
            progress = RunProgress()
            pipeline = Pipeline(carried, iter, sink, progress)
            try:
                with progress:
                    return pipeline.run()
            except BaseException:
                if sink.output is not None and pipeline.frames_out:
                    tell(f"{sink.output} holds the {pipeline.frames_out} frames so far")
                raise
