"""Training in the arithmetic: forward is the golden model, and gradients are those of float.

Without PyTorch the stand-in of the pages runs forward and backward by hand; what PyTorch does with
them is tried where it is.
"""

from __future__ import annotations

import copy
import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cases import LEVELS, integers, random_model
from lstm_sharp import package, paths
from lstm_sharp.errors import ToolError, UsageError
from lstm_sharp.model.model import GATES
from lstm_sharp.numerics import golden, gradients, reference
from lstm_sharp.numerics.formats import Format
from lstm_sharp.numerics.golden import State
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.numerics.quantized import QuantLayer, QuantModel
from lstm_sharp.numerics.stored import load_model
from lstm_sharp.runtime.graphs import Session
from models import pytorch_like, x_of
from pages import torch as stand_in_torch
from torch_stand_ins import stand_in

MODULE = "lstm_sharp.train"
NAMES = ("w_ih", "w_hh", "b")


@pytest.fixture(scope="module")
def train() -> Iterator[Any]:
    """The module, of PyTorch or of what stands in for it."""
    with pytest.MonkeyPatch.context() as patch:
        if find_spec("torch") is None:
            patch.setitem(sys.modules, "torch", stand_in_torch)
        patch.delitem(sys.modules, MODULE, raising=False)
        yield importlib.import_module(MODULE)
        del sys.modules[MODULE]


def drawn(seed: int) -> tuple[Any, QuantModel]:
    """Draw a model of any format, in every second case with the ends of all ranges."""
    rng = np.random.default_rng([seed, 7])
    widths = tuple(map(int, rng.integers(2, 17, 2)))
    mixed = seed % 5 == 4 and widths[1] > 2  # then each level's own is drawn
    fmt = Format(*widths, (Format(widths[0], 2),) * mixed)
    kinds = rng.choice([*LEVELS], 1 + seed % 3)
    sizes = rng.integers(1, 9, len(kinds) + 1).tolist()
    cell, symmetric = ("lstm", "gru")[seed // 2 % 2], seed % 7 == 6
    extreme, scaled = seed % 2 == 0, seed % 3 > 0
    model = random_model(rng, fmt, kinds, sizes, 8, extreme, scaled, cell, symmetric)
    return rng, replace(model, x_scale=rng.uniform(0.1, 3, sizes[0]))


def module_of(train: Any, model: QuantModel, batch_first: bool = True) -> Any:
    made = train.QuantGRU if model.kind == "gru" else train.QuantLSTM
    return made(replace(model.in_float(), quantized=model), batch_first)


def input_of(rng: Any, model: QuantModel) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Draw x (4, 5, X), lengths and a state, some of each out of reach."""
    x = integers(rng, model.fmt.activation_bits, (4, 5, model.input_size), True)
    x = model.dequantize_input(x + rng.uniform(-0.7, 0.7, x.shape))
    shape = (len(model.layers), 4, max(q.hidden_size for q in model.layers))
    state = [rng.uniform(-1.1, 1.1, shape), model.c_reach * rng.uniform(-1.1, 1.1, shape)]
    for value, reach in ((x, model.x_reach[0]), (state[0], 2.0), (state[1], model.c_reach[0])):
        value[0, 0, 0] = 1.2 * np.squeeze(reach)
    return x, np.array([5, 1, 3, 5]), state[: 1 + (model.kind == "lstm")]


@pytest.mark.parametrize("seed", range(120))
def test_forward_is_golden_to_the_bit(train: Any, seed: int) -> None:
    rng, model = drawn(seed)
    module = module_of(train, model, seed % 4 > 0)
    x, lengths, state = input_of(rng, model)
    for got, want in zip(module.to_quantized().layers, model.layers, strict=True):
        assert all(np.array_equal(getattr(got, name), getattr(want, name)) for name in NAMES)
    first, unit = model.layers[0], model.layers[0].row_scale * 0.5**model.fmt.h_frac
    of_ints = first.w_ih * (unit * 2.0**first.x_shift)[:, None]
    np.testing.assert_allclose(model.in_float().layers[0].w_ih * model.x_scale, of_ints, 1e-12)
    x = x.astype(np.float32) if seed % 3 else x
    given = [train.torch.from_numpy(v) for v in (x if seed % 4 else x.swapaxes(0, 1), *state)]
    if seed % 5:
        before = given[1] if model.kind == "gru" else tuple(given[1:])
        h, after = module(given[0], before, lengths)
    else:
        (h, after), lengths = module(given[0]), np.full(4, 5)
        state = [np.zeros_like(v) for v in state]
    h = (h if seed % 4 else h.swapaxes(0, 1)).detach().numpy()
    after = [v.detach().numpy() for v in ([after] if model.kind == "gru" else after)]
    assert h.dtype == x.dtype and not any(row[n:].any() for row, n in zip(h, lengths))
    start = State(*model.quantize_state(state[0], state[-1]))
    for n, steps in enumerate(lengths):
        one = model.quantize_input(x[n : n + 1, :steps])
        of = golden.run(model, one, State(start.h[:, n : n + 1], start.c[:, n : n + 1]))
        assert np.array_equal(h[n, :steps], model.dequantize_h(of[0][0]))
        ends = [model.dequantize_h(of[1].h), model.dequantize_c(of[1].c)]
        for got, want in zip(after, ends[-len(after) :], strict=True):
            assert np.array_equal(got[:, n], want[:, 0])


SHAPES = {"stack": ([3, 4, 2], (1, 1)), "both": ([3, 4, 4], (2, 2))}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", GATES)
def test_gradients_are_those_of_float(shape: str, cell: str) -> None:
    """Held against differences of the float model, at formats that hardly round."""
    rng, (sizes, directions) = np.random.default_rng(4), SHAPES[shape]
    x, lengths = rng.normal(size=(4, 6, 3)), np.array([6, 1, 3, 6])
    model = quantize(pytorch_like(3, sizes, directions, cell), "W16A16", x)
    floats, wide = model.in_float(), (len(model.layers), 4, 4)
    h0, c0 = (rng.uniform(-0.9, 0.9, wide) for _ in "hc")
    if cell == "gru":
        h0 = c0
    ints = model.quantize_input(x), State(*model.quantize_state(h0, c0))
    h, _, noted = gradients.run(model, *ints, lengths)
    of_h, of_end, of_c = (rng.normal(size=shape) for shape in (h.shape, wide, wide))
    for n, layer in enumerate(model.layers):
        of_end[n, :, layer.hidden_size :] = of_c[n, :, layer.hidden_size :] = 0
    found = gradients.back(model, noted, of_h, State(of_end, of_c))
    given = {"x": x, "h": h0, "c": c0}
    by = {"x": found.x, "h": found.h, "c": found.c}
    for n, layer in enumerate(floats.layers):
        given |= {f"{name} {n}": getattr(layer, name) for name in NAMES}
        by |= {f"{name} {n}": g for name, g in zip(NAMES, found.cells[n])}

    def answer(given: dict[str, np.ndarray]) -> float:
        """Sum up what comes out, as the gradients weigh it."""
        cells = [
            replace(layer, **{name: given[f"{name} {n}"] for name in NAMES})
            for n, layer in enumerate(floats.layers)
        ]
        total, made = 0.0, replace(floats, layers=tuple(cells))
        for n, steps in enumerate(lengths):
            one = slice(n, n + 1)
            end = reference.run(
                made, given["x"][one, :steps], (given["h"][:, one], given["c"][:, one])
            )
            last = end.last_c if cell == "gru" else end.last_h
            total += (end.h * of_h[one, :steps]).sum()
            total += (last * of_end[:, one] + end.last_c * of_c[:, one]).sum()
        return float(total)

    for name, value in given.items():
        for _ in range(5):
            step = rng.normal(size=value.shape) * 1e-5
            ends = [answer({**given, name: value + sign * step}) for sign in (1, -1)]
            want, got = (ends[0] - ends[1]) / 2, float((by[name] * step).sum())
            assert abs(got - want) < 2e-3 * (abs(want) + np.abs(step).sum() / 10), name


@pytest.mark.parametrize("seed", range(20))
def test_what_is_held_to_an_end_passes_no_gradient(train: Any, seed: int) -> None:
    """Of weights and biases, what leads back from there."""
    rng, model = drawn(seed)
    module, (x, lengths, state) = module_of(train, model), input_of(rng, model)
    for value in module._weights():
        value.detach().numpy()[...] *= 1.7
    ctx = SimpleNamespace(save_for_backward=lambda *given: setattr(ctx, "saved_tensors", given))
    given = map(train.torch.from_numpy, (x, state[0], state[-1]))
    out = train._Golden.forward(ctx, module, lengths, *given, *module._weights())
    of = [rng.normal(size=v.shape) for v in out]
    back = train._Golden.backward(ctx, *map(train.torch.from_numpy, of))[2:]
    found = gradients.back(*ctx.held[1:], of[0], State(*of[1:]))  # with nothing held to an end
    got, free = [v.detach().numpy() for v in back], [*found[:3], *sum(found.cells, ())]
    for value, reach in ((x, model.x_reach), (state[0], 1.0), (state[-1], model.c_reach)):
        inside = np.abs(value) <= reach
        assert np.array_equal(got.pop(0), np.where(inside, free.pop(0), 0)) and not inside.all()
    levels = [n for n, level in enumerate(model.levels) for _ in level for _ in NAMES]
    units, weights = sum(model.units, ()), module._weights()
    for level, value, unit, g, want in zip(levels, weights, units, got, free, strict=True):
        lsbs = value.detach().numpy() / unit
        bits = model.fmt.of_level(level).weight_bits if value.ndim > 1 else model.fmt.bias_bits
        high = 2 ** (bits - 1) - 0.5
        least = min(min(q.w_ih.min(), q.w_hh.min()) for q in model.levels[level])
        low = min(0.5 - high, least) - 0.5 if value.ndim > 1 else -high - 1
        stays = np.where(want > 0, lsbs >= low, lsbs <= high)
        assert np.array_equal(g, np.where(stays, want, 0))


@pytest.mark.parametrize(
    ("kind", "sums", "c", "held"),
    [
        ("lstm", (9, 9, 0.5, 0), 127.9, {0, 1, 2}),
        ("lstm", (-9, 9, 0.5, 0), 127.9, set()),
        ("gru", (129, -8, 0, 0), 0.5, {0}),
        ("gru", (127, -8, 0, 0), 0.5, set()),
        ("gru", (-127.9, 12, 128.2, 0), 0.5, {2}),
        ("gru", (-127.2, 12, 127.7, 0), 0.5, set()),
    ],
)
def test_a_neuron_that_is_held_passes_no_gradient(
    kind: str, sums: tuple[float, ...], c: float, held: set[int]
) -> None:
    b, zeros = np.array(sums) * 2.0**23, np.zeros((4, 1), np.int64)
    cell = QuantLayer(zeros, zeros, b.astype(np.int64), np.array(8), np.array(0), kind=kind)
    model, one = QuantModel(Format(16, 16), (cell,)), np.ones(1, np.int64)
    start = State(*model.quantize_state(*np.array([[[[c]]]] * 2)))
    _, _, noted = gradients.run(model, zeros[:1, None], start, one)
    of = np.ones((1, 1, 1))
    found = gradients.back(model, noted, of, State(of, of))
    assert set(np.flatnonzero(found.cells[0][2] == 0)) == held
    assert (found.c[0, 0, 0] == 0) == (kind == "lstm" and bool(held))


def test_a_module_is_taken_trained_and_written(train: Any, tmp_path: Path) -> None:
    lstm, x = stand_in("LSTM", num_layers=2, bidirectional=True, batch_first=False), x_of(6, 9)
    fmt, how = "W8A16,W4A8", {"max_shift": 5, "row_scales": False}
    module = train.QuantLSTM.from_torch(lstm, fmt, x, **how)
    want = quantize(load_model(lstm), fmt, x, symmetric=True, **how)
    assert not module.batch_first
    assert np.array_equal(module.to_quantized().x_scale, want.x_scale)
    for got, q in zip(module.to_quantized().layers, want.layers, strict=True):
        assert all(np.array_equal(getattr(got, n), getattr(q, n)) for n in vars(q))
    for value in module._weights():
        value.detach().numpy()[...] *= 40
    made = module.to_quantized()
    for of, w in ((np.min, -1), (np.max, 1)):
        assert [of(q.w_ih) for q in made.layers] == [of(q.w_hh) for q in made.layers]
        assert [of(q.w_hh) for q in made.layers] == [127 * w, 127 * w, 7 * w, 7 * w]
    head = train.torch.nn.Linear(8, 3)
    module.save(tmp_path / "q.npz", head)
    held = load_model(tmp_path / "q.npz")
    assert held.quantized.fmt == made.fmt
    assert np.array_equal(held.layers[1].w_hh, made.in_float().layers[1].w_hh)
    again = train.QuantLSTM(held).to_quantized()
    for got, q in zip(again.layers, made.layers, strict=True):
        assert all(np.array_equal(getattr(got, name), getattr(q, name)) for name in NAMES)
    h, _ = golden.run(made, made.quantize_input(x))
    with Session(held, backend="golden") as session:
        logits = session.run(x, output_of="head")
    want_logits = head(train.torch.from_numpy(made.dequantize_h(h))).detach().numpy()
    np.testing.assert_allclose(logits, want_logits, 1e-5, 1e-6)
    written = module.to_package(tmp_path / "package", "pynq-z2", head)
    assert package.read(tmp_path / "package").about == written.about
    assert np.array_equal(written.model.layers[3].w_hh, made.layers[3].w_hh)


def test_refusals(train: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = pytorch_like(1, [3, 4]), x_of()
    for source, what in (
        (model, "QuantLSTM takes a quantised lstm; it has no integers: see from_torch"),
        (replace(model, quantized=drawn(2)[1]), "QuantLSTM takes a quantised lstm; it is a gru"),
    ):
        with pytest.raises(UsageError, match=what):
            train.QuantLSTM(source)
    module, torch = train.QuantLSTM.from_torch(model, "W8A8", x), train.torch
    for given, what in (
        ({"x": x[:, :, :2]}, "x is float64 (2, 7, 2); numbers (batch, time, 3)"),
        ({"x": x[0]}, "x is float64 (7, 3)"),
        ({"x": x.astype(np.int64)}, "int64; give a tensor of float32 or float64"),
        ({"x": x * np.nan}, "x has 42 NaN or infinite of 42 values"),
        ({"lengths": [0, 7]}, "sequence 0 has a length of 0; 1 to the 7 steps"),
        ({"state": [np.zeros((2, 2, 4), "f")] * 2}, "state h is float64 (2, 2, 4)"),
        ({"state": [np.zeros((1, 2, 4), "f")] * 3}, "a state is h and c, 3 arrays were given"),
    ):
        told = {"x": x, "lengths": None, **given}
        state = told.get("state") and tuple(map(torch.from_numpy, told["state"]))
        with pytest.raises(UsageError) as error:
            module(torch.from_numpy(told["x"]), state, told["lengths"])
        assert what in str(error.value)
    with pytest.raises(UsageError, match="x is a ndarray; give a tensor of float32 or float64"):
        module(x)
    with pytest.raises(UsageError, match="the head takes 8 values, h has 4"):
        module.to_model(torch.nn.Linear(8, 3))
    for data in ([x[0], x[0, :1]], "x"):
        with pytest.raises(
            UsageError, match="calibration data are no numbers .*; give numbers, \\(batch, time, X"
        ):
            train.QuantLSTM.from_torch(model, "W8A8", data)
    made = train.QuantLSTM.from_torch(model, "W8A8", torch.from_numpy(x)).to_quantized()
    assert np.array_equal(made.x_scale, module.to_quantized().x_scale)
    module._weights()[1].detach().numpy()[0] = np.nan
    with pytest.raises(UsageError, match="weights are NaN or infinite: training diverged; lower"):
        module(torch.from_numpy(x))
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, MODULE)
    with pytest.raises(ToolError, match="pip install 'lstm-sharp"):
        importlib.import_module(MODULE)


@pytest.mark.parametrize(("fmt", "config"), [("W8A8", "pynq-z2-fast"), ("W4A8", "pynq-z2-small")])
def test_the_vowels_are_told_as_the_page_says(fmt: str, config: str) -> None:
    folder = paths.examples() / "vowels"
    told = json.loads((folder / "trained.json").read_text())["formats"][fmt]["trained"][0]
    data = np.load(folder / "vowels_test.npz")
    xs = [x[:n] for x, n in zip(data["x"], data["lengths"])]
    model = load_model(folder / f"vowels_{fmt.lower()}.npz")
    with Session(model, config, backend="golden") as session:  # which packs products
        logits = np.stack(session.run(xs, output_of="head"))
    assert (
        np.count_nonzero(logits.argmax(axis=-1).ravel() == data["labels"]) == told["right"] >= 362
    )


@pytest.mark.parametrize("name", ["trained", "trained_16_units"])
def test_the_table_is_what_was_measured(name: str) -> None:
    folder = paths.examples() / "vowels"
    page, told = (
        (folder / "README.md").read_text(),
        json.loads((folder / f"{name}.json").read_text()),
    )
    for fmt, found in told["formats"].items():
        trained = [one["right"] for one in found["trained"]]
        right = np.array([found["quantised"]["right"], np.mean(trained), min(trained)])
        cells = (f"{share:.4f}" for share in right / told["of"])
        assert f"| {fmt} | {' | '.join(cells)} |" in page
    assert f"float {told['W16A16']['right'] / told['of']:.4f}" in page.replace("float has", "float")


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_pytorch_trains(train: Any, kind: str) -> None:
    """In place of a module of its own, packed or not; and it learns to say the opposite."""
    torch = train.torch
    torch.manual_seed(0)
    own = getattr(torch.nn, kind)(5, 16, 2, bidirectional=True)
    made = getattr(train, f"Quant{kind}")
    x, lengths = torch.randn(9, 16, 5), torch.randint(1, 10, (16,))
    module = made.from_torch(own, "W2A6", x.swapaxes(0, 1))
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    (h, after), (right, _) = module(packed), own(packed)
    whole, ends = module(x, lengths=lengths)
    leaves = torch.utils._pytree.tree_leaves
    assert all(map(torch.equal, leaves(after), leaves(ends)))
    again = torch.nn.utils.rnn.pad_packed_sequence(h)[0]
    assert torch.equal(again, whole[: len(again)])
    assert (h.data - right.data).abs().max() < 0.6
    begun, optimiser = copy.deepcopy(module), torch.optim.Adam(module.parameters(), 0.01)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = (module(packed)[0].data + right.data.detach()).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    assert float((begun(packed)[0].data + right.data).square().mean().detach()) == losses[0]
    made, given = module.to_quantized(), x.swapaxes(0, 1).numpy()
    found = made.dequantize_h(golden.run(made, made.quantize_input(given))[0])
    assert np.array_equal(module(x)[0].detach().swapaxes(0, 1).numpy(), found)
