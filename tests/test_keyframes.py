"""Offline painting, part by part: the work folder, motion, plan, keyframes, and what is carried between them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.banks import pictures, tiny_bank
from tests.clips import make_clip
from tests.tiny_vgg import tiny_weights
from videostyle.errors import UsageError
from videostyle.frame import Frame, Image
from videostyle.keyframes import plan as planning
from videostyle.keyframes.carry import CarriedFilm, View, blend, paste
from videostyle.keyframes.fill import apart, bank_fill, optimizing_fill
from videostyle.keyframes.film import Film
from videostyle.keyframes.flows import Flows, Trace, make_finder, origin, raft, traces
from videostyle.keyframes.options import KeyframeOptions
from videostyle.keyframes.paint import KeyframePainter, import_painted
from videostyle.keyframes.plan import Plan, Stretch, gather, make_plan
from videostyle.keyframes.work import WorkFolder, room
from videostyle.optimize import PictureOptimizer
from videostyle.optimize_bank import BankNet
from videostyle.optimize_options import PaintOptions, StylePicture
from videostyle.perceptual import PerceptualNet
from videostyle.pictures import load_picture, save_picture, write_picture
from videostyle.styles import StyleMix

Pixels = TypeVar("Pixels", bound=NDArray[Any])
HEIGHT, WIDTH, STEP = 64, 96, 2
WORLD = (pictures(1, HEIGHT, 400, seed=5)[0], pictures(1, HEIGHT, 400, seed=3)[0] // 4)


def view(number: int, scene: int = 0) -> Image:
    """A camera that pans over a wall, two pixels a frame."""
    return np.ascontiguousarray(WORLD[scene][:, STEP * number : STEP * number + WIDTH])


def film(count: int, cut: int | None = None) -> list[Frame]:
    images = [view(i, int(cut is not None and i >= cut)) for i in range(count)]
    return [Frame(image, i, i, Fraction(1, 25), 0.0) for i, image in enumerate(images)]


@pytest.fixture
def work(tmp_path: Path) -> WorkFolder:
    return WorkFolder(tmp_path / "work", {"film": "pan"})


@pytest.fixture
def flows(work: WorkFolder) -> Flows:
    return Flows(make_finder("dis", "cpu"), work.folder / "flows", 10**9)


def optimizer(tmp_path: Path, iterations: int = 15) -> PictureOptimizer:
    stripes = np.zeros((64, 80, 3), np.uint8)
    stripes[:, ::4] = stripes[:, 1::4] = (250, 120, 10)
    save_picture(tmp_path / "style.png", stripes, force=True)
    options = PaintOptions(iterations=iterations, smallest=32, precision="fp32")
    return PictureOptimizer(
        [StylePicture(tmp_path / "style.png")], options, PerceptualNet(tiny_weights(), deepest="relu5_1")
    )


def inside(image: Pixels) -> Pixels:
    return image[8:-8, 24:-24]  # type: ignore[return-value]


def test_the_work_folder_is_for_one_job(work: WorkFolder) -> None:
    assert WorkFolder(work.folder, {"film": "pan"}).read("job.json") == {"film": "pan"}
    with pytest.raises(UsageError, match="holds another job"):
        WorkFolder(work.folder, {"film": "tilt"})
    with pytest.raises(UsageError, match="cannot be the work folder"):
        WorkFolder(work.folder / "no" / "such", {})
    assert work.read("plan.json") is None


def test_room_is_stated_and_checked(work: WorkFolder) -> None:
    plain = room((1920, 1080), 1000, 100, KeyframeOptions())
    assert room((1920, 1080), 1000, 100, KeyframeOptions(flow_cache=0)) == plain - 4_000_000_000
    assert room((1920, 1080), 1000, 100, KeyframeOptions(fill="optimize")) > plain
    work.check_room(1000)
    with pytest.raises(UsageError, match="may need 1000000000000 MB"):
        work.check_room(10**18)


def test_flow_is_the_same_whether_kept_or_not(work: WorkFolder, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    find = make_finder("dis", "cpu")
    kept, none = Flows(find, work.folder / "flows", 200_000), Flows(find, tmp_path / "none", 0)
    for _ in range(2):
        for number in range(1, 5):
            for one, other in zip(
                kept(number, view(number - 1), view(number)), none(number, view(number - 1), view(number)), strict=True
            ):
                assert np.array_equal(one, other)
    files = list((work.folder / "flows").iterdir())
    assert 0 < sum(path.stat().st_size for path in files) < 200_000
    assert len(files) == 4
    assert list((tmp_path / "none").iterdir()) == []
    kept.clear()
    assert list((work.folder / "flows").iterdir()) == []


def test_traces_lead_over_many_frames(flows: Flows) -> None:
    images = [view(i) for i in range(9)]
    here = origin(HEIGHT, WIDTH).at
    to_first, to_last = traces(flows, 0, images), traces(flows, 0, images, backwards=True)
    for number in range(9):
        moved = inside((to_first[number].at - here)[..., 0])
        assert np.abs(moved - STEP * number).mean() < 0.3
        assert inside(to_first[number].sure).mean() > 0.9
        moved = inside((to_last[number].at - here)[..., 0])
        assert np.abs(moved + STEP * (8 - number)).mean() < 0.3
    assert to_first[8].sure[:, -STEP * 8 + 2 :].mean() < 0.2  # came into sight since
    assert np.abs(inside(to_first[8].look_up(view(0))) - inside(view(8))).mean() < 6


def test_traffic_between_distant_frames_is_found_directly(flows: Flows) -> None:
    trace = flows.between(view(3), view(0))
    assert np.abs(inside((trace.at - origin(HEIGHT, WIDTH).at)[..., 0]) - 3 * STEP).mean() < 0.5


def test_raft_takes_any_size() -> None:
    from torchvision.models.optical_flow import raft_small

    torch.manual_seed(0)
    find = raft(raft_small(), "cpu")
    flow = find(view(0), view(1))
    assert flow.shape == (HEIGHT, WIDTH, 2)
    assert flow.dtype == np.float32
    assert np.isfinite(flow).all()


@pytest.mark.parametrize(
    ("frames", "scenes", "keys"),
    [
        (30, (0,), (0, 10, 20)),
        (30, (0,), (0, 10, 29)),
        (30, (0, 14), (0, 10, 14, 24)),
        (30, (0, 14, 15), (3, 9, 14, 20)),
        (1, (0,), (0,)),
    ],
)
def test_stretches_make_every_frame_once(frames: int, scenes: tuple[int, ...], keys: tuple[int, ...]) -> None:
    plan = Plan(frames, scenes, keys)
    made: list[int] = []
    for stretch in plan.stretches():
        assert stretch.left in {*keys, None}
        assert stretch.right in {*keys, None}
        assert stretch.left is not None or stretch.right is not None
        made += range(stretch.first, stretch.last + stretch.closes)
    assert made == list(range(frames))


def test_stretches_do_not_reach_over_cuts() -> None:
    assert Plan(20, (0, 8), (0, 5, 10)).stretches() == [
        Stretch(0, 5, 0, 5, False),
        Stretch(5, 7, 5, None, True),
        Stretch(8, 10, None, 10, False),
        Stretch(10, 19, 10, None, True),
    ]
    assert [number for number in (0, 5, 10) if Plan(20, (0, 8), (0, 5, 10)).begins(number)] == [0, 10]


def test_frames_are_handed_out_by_stretches() -> None:
    plan = Plan(20, (0, 8), (0, 5, 10))
    for stretch, frames in gather(film(20), plan.stretches()):
        assert [frame.index for frame in frames] == list(range(stretch.first, stretch.last + 1))
    with pytest.raises(UsageError, match="the film ends before frame 19"):
        list(gather(film(19), plan.stretches()))


def test_cuts_and_keyframes(flows: Flows) -> None:
    pan = film(40, cut=17)
    assert make_plan(pan, flows, every=10) == Plan(40, (0, 17), (0, 10, 17, 27, 37))
    assert make_plan(pan, flows, at=(30, 3)) == Plan(40, (0, 17), (3, 30))
    with pytest.raises(UsageError, match="frames 17 to 39 are a scene without a keyframe"):
        make_plan(pan, flows, at=(3,))
    with pytest.raises(UsageError, match="there is no frame 99"):
        make_plan(pan, flows, at=(3, 20, 99))
    with pytest.raises(UsageError, match="no frames"):
        make_plan([], flows)


def test_motion_asks_for_keyframes(flows: Flows, tmp_path: Path) -> None:
    still = [replace(frame, image=view(0)) for frame in film(40)]
    (tmp_path / "still").mkdir()
    quiet = make_plan(still, Flows(make_finder("dis", "cpu"), tmp_path / "still", 0))
    assert quiet.keyframes == (0, planning.MOST_APART)
    panned = make_plan(film(40), flows).keyframes
    assert len(panned) > 3
    assert min(np.diff(panned)) >= planning.LEAST_APART


def paint(work: WorkFolder, flows: Flows, tmp_path: Path, plan: Plan, consistency: float) -> list[int]:
    done: list[int] = []
    painter = KeyframePainter(optimizer(tmp_path), flows, work, consistency=consistency, finished=done.append)
    painter.paint(film(plan.frames), plan)
    return done


def test_keyframes_agree_with_those_before(work: WorkFolder, flows: Flows, tmp_path: Path) -> None:
    plan = Plan(12, (0,), (0, 4, 8, 11))
    loose = WorkFolder(tmp_path / "loose", {})
    assert paint(work, flows, tmp_path, plan, 3000.0) == [0, 4, 8, 11]
    paint(loose, flows, tmp_path, plan, 0.0)
    trace = traces(flows, 0, [frame.image for frame in film(5)])[-1]

    def disagreement(folder: WorkFolder) -> float:
        first, second = (load_picture(folder.keyframe(number)) for number in (0, 4))
        return float(np.abs(inside(trace.look_up(first)) - inside(second)).mean())

    assert disagreement(work) < 0.8 * disagreement(loose)
    assert apart(load_picture(work.keyframe(0)), view(0)) > 3
    before = {path.name: path.stat().st_mtime_ns for path in (work.folder / "keyframes").iterdir()}
    assert sorted(before) == ["000000.png", "000004.png", "000008.png", "000011.png"]
    work.keyframe(8).unlink()
    again = load_picture(work.keyframe(4))
    paint(work, flows, tmp_path, plan, 3000.0)
    after = {path.name: path.stat().st_mtime_ns for path in (work.folder / "keyframes").iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"000008.png"}
    assert np.array_equal(again, load_picture(work.keyframe(4)))


def clip(tmp_path: Path, count: int = 12) -> Film:
    options = {"crf": "4"}
    path = make_clip(tmp_path / "pan.mp4", frames=count, size=(WIDTH, HEIGHT), rate=25, image=view, options=options)
    return Film(str(path))


def carry(source: Film, work: WorkFolder, plan: Plan, **options: object) -> list[Frame]:
    flows = Flows(make_finder("dis", "cpu"), work.folder / "flows", 0)
    return list(CarriedFilm(source, plan, flows, work, **{"fill": None, **options}))  # type: ignore[arg-type]


def test_what_lies_between_moves_as_the_film_does(work: WorkFolder, tmp_path: Path) -> None:
    source, plan = clip(tmp_path), Plan(12, (0,), (0, 8))
    for number in plan.keyframes:
        write_picture(work.keyframe(number), 255 - view(number))
    frames = carry(source, work, plan)
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.pts for frame in frames] == [frame.pts for frame in source]
    for number, frame in enumerate(frames):
        assert apart(inside(frame.image), inside(255 - view(number))) < 8
        if number in plan.keyframes:
            assert apart(frame.image, 255 - view(number)) < 0.6
    kept = carry(source, work, plan, keep_color=True)
    assert apart(kept[4].image, frames[4].image) > 5


def test_painted_frames_carry_both_ways(work: WorkFolder, tmp_path: Path) -> None:
    source, plan = clip(tmp_path), Plan(12, (0,), (6,))
    write_picture(work.keyframe(6), 255 - view(6))
    for number, frame in enumerate(carry(source, work, plan)):
        assert apart(inside(frame.image), inside(255 - view(number))) < 8


def test_a_side_that_is_hidden_is_taken_from_the_other() -> None:
    here = origin(20, 30)
    sure = here.sure.copy()
    sure[:, :15] = 0
    dark, light = np.zeros((20, 30, 3), np.uint8), np.full((20, 30, 3), 200, np.uint8)
    painting, holes = blend([View(Trace(here.at, sure), 0.9, dark), View(here, 0.1, light)])
    assert (painting[:, :8] > 190).all()
    assert (painting[:, 22:] < 60).all()
    assert not holes.any()
    painting, holes = blend([View(Trace(here.at, sure), 0.5, dark), View(Trace(here.at, sure), 0.5, light)])
    assert holes[:, :10].all()
    assert not holes[:, 20:].any()
    patched = paste(painting, np.full_like(painting, 77), holes)
    assert (patched[:, :8] == 77).all()
    assert np.array_equal(patched[:, 22:], painting[:, 22:])


def test_holes_are_painted_by_optimisation_once(work: WorkFolder, tmp_path: Path) -> None:
    fill = optimizing_fill(optimizer(tmp_path, 80), work)
    holes = np.zeros((HEIGHT, WIDTH), bool)
    painting = 255 - view(3)
    assert fill(3, view(3), painting, holes) is painting
    holes[20:40, 30:60] = True
    filled = fill(3, view(3), painting, holes)
    changed = apart(filled[~holes][None], painting[~holes][None])
    assert apart(filled[holes][None], painting[holes][None]) > 2 * changed
    stamp = work.fill(3).stat().st_mtime_ns
    assert np.array_equal(fill(3, view(3), painting, holes), filled)
    assert work.fill(3).stat().st_mtime_ns == stamp


def test_a_net_learns_from_keyframes_once(work: WorkFolder) -> None:
    plan, bank = Plan(6, (0,), (0, 5)), tiny_bank()
    for number in plan.keyframes:
        write_picture(work.keyframe(number), 255 - view(number))

    def net() -> BankNet:
        return BankNet(bank, bank.vector(StyleMix((("rain", 1.0),))))

    holes = np.ones((HEIGHT, WIDTH), bool)
    fill = bank_fill(net(), film(6), plan, work)
    filled = fill(2, view(2), view(2), holes)
    assert apart(filled, 255 - view(2)) < 0.6 * apart(net()(view(2)), 255 - view(2))
    again = bank_fill(net(), [], plan, work)
    assert np.array_equal(again(2, view(2), view(2), holes), filled)


def test_painted_frames_are_found_by_number(tmp_path: Path) -> None:
    folder = tmp_path / "painted"
    with pytest.raises(UsageError, match="no folder of painted frames"):
        import_painted(folder, (WIDTH, HEIGHT))
    folder.mkdir()
    with pytest.raises(UsageError, match="holds no painted frames"):
        import_painted(folder, (WIDTH, HEIGHT))
    save_picture(folder / "take2-000012.png", view(0))
    save_picture(folder / "7.png", view(0))
    assert import_painted(folder, (WIDTH, HEIGHT)) == {12: folder / "take2-000012.png", 7: folder / "7.png"}
    with pytest.raises(UsageError, match="is 96x64; frames of this film are 100x64"):
        import_painted(folder, (100, HEIGHT))
    save_picture(folder / "12.png", view(0))
    with pytest.raises(UsageError, match="are the same frame"):
        import_painted(folder, (WIDTH, HEIGHT))
    (folder / "12.png").rename(folder / "last.png")
    with pytest.raises(UsageError, match="has its number in its name"):
        import_painted(folder, (WIDTH, HEIGHT))


def test_a_film_is_read_again_at_its_size(tmp_path: Path) -> None:
    small = replace(clip(tmp_path), max_side=48)
    assert small.size == (48, 32)
    for _ in range(2):
        frames = list(small)
        assert [frame.index for frame in frames] == list(range(12))
        assert frames[0].image.shape == (32, 48, 3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"every": 5, "at": (1,)}, "give one of the three"),
        ({"every": 0}, "1 at least"),
        ({"at": (-1,)}, "frame numbers from 0"),
        ({"consistency": -1.0}, "may be negative"),
        ({"flow": "guess"}, "dis, raft"),
        ({"preview": 0.0}, "shows nothing"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        KeyframeOptions(**options)  # type: ignore[arg-type]
