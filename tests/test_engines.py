"""Every engine keeps one contract: what it paints is what eager PyTorch in float32 paints, within its precision."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.banks import pictures, tiny_bank, tiny_transformer_bank, with_ranges
from videostyle.engines import ENGINES, StyleEngine, installed_engines, load_engine
from videostyle.engines.pytorch import PyTorchEngine
from videostyle.errors import EngineError
from videostyle.net import build
from videostyle.styles import StyleBank, parse_mix

Bytes = NDArray[np.uint8]

TOLERANCE = {"fp32": (1, 0.01), "fp16": (2, 0.2), "bf16": (6, 1.0), "int8": (16, 1.5)}
"""By precision: how far a byte may lie from eager float32, and how far all of them on average."""

ON_CPU = {"pytorch": ("fp32", "bf16"), "openvino": ("fp32", "bf16", "int8"), "onnx": ("fp32",)}
"""Precisions of each engine on a processor. bf16 is left out by OpenVINO where the processor would emulate it."""

BANKS = {"stylenet": with_ranges(tiny_bank()), "transformernet": with_ranges(tiny_transformer_bank())}


def eager(bank: StyleBank, images: Bytes, vector: NDArray[np.float32]) -> Bytes:
    net = build(bank.config).eval()
    net.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in bank.body.items()})
    x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().float() / 255
    with torch.no_grad():
        y: Tensor = net(x, torch.from_numpy(np.atleast_2d(vector)))
    return (y * 255).round().permute(0, 2, 3, 1).to(torch.uint8).numpy()


def check_close(painted: Bytes, expected: Bytes, precision: str) -> None:
    assert painted.shape == expected.shape
    assert painted.dtype == np.uint8
    apart = np.abs(painted.astype(int) - expected)
    most, mean = TOLERANCE[precision]
    assert apart.max() <= most
    assert apart.mean() <= mean


def load_or_skip(bank: StyleBank, engine: str, precision: str) -> StyleEngine:
    if engine not in installed_engines():
        pytest.skip(f"{engine} is not installed: {ENGINES[engine].install}")
    try:
        return load_engine(bank, engine=engine, precision=precision, device="cpu")
    except EngineError as error:
        pytest.skip(str(error))


@pytest.fixture(params=[(engine, precision) for engine, able in ON_CPU.items() for precision in able], ids="-".join)
def choice(request: pytest.FixtureRequest) -> tuple[str, str]:
    found: tuple[str, str] = request.param
    return found


def test_no_engine_is_left_out() -> None:
    assert set(ON_CPU) == set(ENGINES)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_an_engine_cannot_compute_in_is_an_error(engine: str) -> None:
    for precision in {"fp32", "bf16", "int8"} - set(ON_CPU[engine]):
        with pytest.raises(EngineError, match=f"does not run {precision}"):
            load_engine(BANKS["stylenet"], engine=engine, precision=precision, device="cpu")


@pytest.fixture(params=BANKS)
def bank(request: pytest.FixtureRequest) -> StyleBank:
    return BANKS[request.param]


@pytest.fixture
def engine(bank: StyleBank, choice: tuple[str, str]) -> Iterator[StyleEngine]:
    loaded = load_or_skip(bank, *choice)
    yield loaded
    loaded.close()


def test_says_what_it_is(engine: StyleEngine, choice: tuple[str, str]) -> None:
    assert (engine.name, engine.precision, engine.device) == (*choice, "cpu")


@pytest.mark.parametrize("size", [(3, 5), (17, 33), (24, 40), (50, 31)])
def test_paints_as_eager_does(engine: StyleEngine, bank: StyleBank, size: tuple[int, int]) -> None:
    images, vector = pictures(1, *size), bank.styles[-1]
    check_close(engine(images, vector), eager(bank, images, vector), engine.precision)


@pytest.mark.parametrize("name", ENGINES)
def test_one_pixel(name: str, bank: StyleBank) -> None:
    """In float32 alone: norms make anything of the rounding of a picture that is of one colour."""
    engine = load_or_skip(bank, name, "fp32")
    images, vector = pictures(1, 1, 1), bank.styles[-1]
    check_close(engine(images, vector), eager(bank, images, vector), "fp32")


def test_weights_that_fit_older_processors_paint_alike(bank: StyleBank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videostyle.engines.openvino_graph.adds_bytes_exactly", lambda: False)
    engine = load_or_skip(bank, "openvino", "int8")
    images, vector = pictures(1, 24, 40), bank.styles[-1]
    check_close(engine(images, vector), eager(bank, images, vector), "int8")


def test_pictures_of_the_contract_have_contrast(bank: StyleBank) -> None:
    assert eager(bank, pictures(1, 24, 40), bank.styles[-1]).std() > 15


def test_a_batch_is_its_pictures(engine: StyleEngine, bank: StyleBank) -> None:
    images, vector = pictures(3, 18, 22), bank.styles[-1]
    check_close(engine(images, vector), eager(bank, images, vector), engine.precision)


def test_a_vector_for_each_picture(engine: StyleEngine, bank: StyleBank) -> None:
    images = pictures(3, 18, 22)
    vectors = bank.styles[-1] * np.array([[1.0], [0.8], [0.5]], np.float32)
    expected = np.concatenate([eager(bank, images[i : i + 1], vectors[i]) for i in range(3)])
    check_close(engine(images, vectors), expected, engine.precision)


def test_blends_of_styles(choice: tuple[str, str]) -> None:
    bank = BANKS["stylenet"]
    engine = load_or_skip(bank, *choice)
    images, vector = pictures(1, 20, 28), bank.vector(parse_mix("rain:0.6,sun:0.4"), 0.7)
    check_close(engine(images, vector), eager(bank, images, vector), engine.precision)
    assert np.abs(engine(images, vector).astype(int) - engine(images, bank.styles[1])).mean() > 1


def test_input_stays_as_it_is(engine: StyleEngine, bank: StyleBank) -> None:
    images, vector = pictures(1, 12, 20), bank.styles[-1].copy()
    before = images.copy(), vector.copy()
    painted = engine(images, vector)
    painted[:] = 0
    assert np.array_equal(images, before[0])
    assert np.array_equal(vector, before[1])


def test_any_memory_layout_will_do(engine: StyleEngine, bank: StyleBank) -> None:
    images, vector = pictures(1, 16, 24), bank.styles[-1]
    mirrored = images[:, :, ::-1]
    frozen = images.copy()
    frozen.flags.writeable = False
    assert np.array_equal(engine(mirrored, vector), engine(mirrored.copy(), vector))
    assert np.array_equal(engine(frozen, vector), engine(images, vector))


def test_two_threads_share_an_engine(engine: StyleEngine, bank: StyleBank) -> None:
    jobs = [(pictures(1, 12 + 4 * (i % 3), 20, seed=i), bank.styles[-1] * np.float32(1 - 0.05 * i)) for i in range(12)]
    alone = [engine(*job) for job in jobs]
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(lambda job: engine(*job), jobs))
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one, other)


def test_what_it_cannot_paint(engine: StyleEngine, bank: StyleBank) -> None:
    images, vector = pictures(2, 8, 8), bank.styles[-1]
    for wrong in (images[0], images[..., :2], images.astype(np.float32)):
        with pytest.raises(EngineError, match="images must be uint8"):
            engine(wrong, vector)  # type: ignore[arg-type]
    for vectors in (vector[:-1], np.stack([vector] * 3)):
        with pytest.raises(EngineError, match="style vectors for 2 images"):
            engine(images, vectors)


def test_a_closed_engine_says_so(engine: StyleEngine, bank: StyleBank) -> None:
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine(pictures(1, 8, 8), bank.styles[-1])


@pytest.mark.parametrize("name", installed_engines())
def test_lanes_paint_the_same(name: str) -> None:
    bank = BANKS["stylenet"]
    options: dict[str, Any] = {"engine": name, "precision": "fp32", "device": "cpu"}
    calm, busy = load_engine(bank, **options), load_engine(bank, throughput=True, **options)
    assert calm.lanes == 1
    assert 1 <= busy.lanes <= 4
    jobs = [(pictures(1, 12 + 4 * (i % 3), 20, seed=i), bank.styles[-1]) for i in range(12)]
    with ThreadPoolExecutor(busy.lanes + 1) as threads:
        together = list(threads.map(lambda job: busy(*job), jobs))
    for job, painted in zip(jobs, together, strict=True):
        assert np.abs(calm(*job).astype(int) - painted).max() <= 1


def test_auto_chooses_what_is_there() -> None:
    engine = load_engine(BANKS["stylenet"], device="cpu")
    assert engine.name in installed_engines()  # the one that a short measurement found fastest


@pytest.mark.parametrize("half", [False, True])
def test_onnx_models_are_well_formed(bank: StyleBank, half: bool) -> None:
    """Halves run on cards alone; that their types fit together is checked here."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'videostyle[onnx]'")
    from videostyle.engines.onnx_graph import build as build_onnx

    model = onnx.load_from_string(build_onnx(bank, half=half))
    onnx.checker.check_model(model, full_check=True)


def test_half_precision_holds_the_numbers_of_both_nets(bank: StyleBank) -> None:
    """The arithmetic that cards run, on the processor."""
    net = build(bank.config).eval()
    net.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in bank.body.items()})
    engine = PyTorchEngine(net.half(), bank.styles.shape[1], "fp16", torch.device("cpu"))
    images, vector = pictures(2, 24, 40), bank.styles[-1]
    check_close(engine(images, vector), eager(bank, images, vector), "fp16")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card here")
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
@pytest.mark.parametrize("kind", BANKS)
def test_cuda_paints_as_the_processor_does(kind: str, precision: str) -> None:
    bank = BANKS[kind]
    engine = load_engine(bank, engine="pytorch", precision=precision, device="cuda")
    for size in ((1, 1), (17, 33), (120, 160)):
        images, vector = pictures(2, *size), bank.styles[-1]
        # Tensor cores multiply float32 as TF32: ten bits of mantissa, as half precision has.
        check_close(engine(images, vector), eager(bank, images, vector), "fp16")
    jobs = [(pictures(1, 64, 96, seed=i), bank.styles[-1]) for i in range(8)]
    alone = [engine(*job) for job in jobs]
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(lambda job: engine(*job), jobs))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))
    engine.close()
