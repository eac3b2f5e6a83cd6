"""Models from files: what is read is what the file means, and the rest is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lstm_sharp.model import load
from models import (
    H,
    X,
    float_h,
    pytorch_like,
    refused,
    torch_names,
    weights,
    write_safetensors,
    x_of,
)


@pytest.mark.parametrize("dtype", ["F16", "F32", "F64", "BF16"])
def test_safetensors_keeps_rows_and_sums_biases(tmp_path: Path, dtype: str) -> None:
    kind = {"F16": np.float16, "F64": np.float64}.get(dtype, np.float32)
    want = stored = {name: value.astype(kind) for name, value in weights().items()}
    if dtype == "BF16":  # the upper half of a float32
        stored = {name: (v.view("u4") >> 16).astype("u2") for name, v in want.items()}
        want = {name: (v.astype("u4") << 16).view("f4") for name, v in stored.items()}
    tensors = {"net.lstm." + name: value for name, value in stored.items()}
    types = dict.fromkeys(tensors, dtype)
    tensors["head.weight"] = np.zeros((2, H), np.int64)  # unread, so not refused
    (layer,) = load(write_safetensors(tmp_path / "m.safetensors", tensors, **types)).layers
    np.testing.assert_array_equal(layer.w_ih, want["weight_ih_l0"])
    np.testing.assert_array_equal(layer.w_hh, want["weight_hh_l0"])
    np.testing.assert_array_equal(layer.b, want["bias_ih_l0"] + want["bias_hh_l0"].astype(float))


def test_safetensors_of_the_package_itself(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    pytest.importorskip("safetensors.numpy").save_file(weights(), path, metadata={"a": "b"})
    np.testing.assert_array_equal(load(path).layers[0].w_ih, weights()["weight_ih_l0"])


def two_lstms() -> dict[str, np.ndarray]:
    below = {f"lstm.{name}": value for name, value in weights().items() if "bias" not in name}
    above = {f"lstm.{n[:-1]}1": value for n, value in weights(H, seed=1).items()}
    other = {f"lstm2.{name}": value for name, value in weights(seed=2).items()}
    return {**below, **above, **other}


def test_prefix_chooses_a_stack_and_absent_biases_are_zero(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", **two_lstms())
    model = load(tmp_path / "m.npz", prefix="lstm")
    assert [layer.input_size for layer in model.layers] == [X, H]
    assert not model.layers[0].b.any() and model.layers[1].b.any()
    assert (model.name, model.head) == ("m", None)
    assert len(load(tmp_path / "m.npz", prefix="lstm2.").layers) == 1


def both_ways(missing: str = "", **more: np.ndarray) -> dict[str, np.ndarray]:
    """Tensors of a bidirectional stack of two layers, but for one, and some more."""
    named = torch_names(pytorch_like(3, [X, H, H], (2, 2)))
    return {name: value for name, value in named.items() if name != missing} | more


def test_reverse_names_make_layers_bidirectional(tmp_path: Path) -> None:
    want = pytorch_like(3, [X, H, H], (2, 2))
    np.savez(tmp_path / "m.npz", **both_ways())
    model = load(tmp_path / "m.npz")
    assert [[cell.reverse for cell in level] for level in model.levels] == [[False, True]] * 2
    assert (model.directions, model.hidden_size) == ((2, 2), 2 * H)
    np.testing.assert_allclose(float_h(model, x_of()), float_h(want, x_of()), rtol=0, atol=1e-6)


def test_names_of_a_cell(tmp_path: Path) -> None:
    named = {f"net.{name.removesuffix('_l0')}": value for name, value in weights().items()}
    np.savez(tmp_path / "m.npz", **named)
    np.savez(tmp_path / "n.npz", **weights())
    (cell,), (want,) = load(tmp_path / "m.npz").layers, load(tmp_path / "n.npz").layers
    np.testing.assert_array_equal(cell.w_hh, weights()["weight_hh_l0"])
    np.testing.assert_array_equal(cell.b, want.b)


def but(name: str, *instead: str, **more: np.ndarray) -> dict[str, np.ndarray]:
    """Tensors of a layer but for one, and some more."""
    kept = {n: value for n, value in weights().items() if n != name}
    return kept | dict.fromkeys(instead, np.ones((16, X))) | more


CELL = {"weight_ih": np.ones((16, X)), "weight_hh": np.ones((16, H))}
W, B = "weight_hh_l0", "bias_hh_l0"
ORIGINAL = [f"parametrizations.{W}.original{n}" for n in (0, 1)]
NAN = np.full(4 * H, np.nan)
TORCH_REFUSALS = {
    f"lacks {W} but has {B}, bias_ih_l0, weight_ih_l0; undo the weight norm": but(
        W, f"{W}_g", f"{W}_v"
    ),
    "undo the weight norm before you save: torch.nn.utils.remove_weight_norm, or": but(
        W, *ORIGINAL
    ),
    f"its 2 tensors are l.{W}_g, l.{W}_v; undo the weight norm": {
        f"l.{W}_{end}": np.ones(16) for end in "gv"
    },
    "lacks weight_hh but has weight_ih": {"weight_ih": np.ones((16, X))},
    "the cell: shapes w_ih (16, 3), w_hh (12, 4), b_ih (12,), b_hh (12,) are no GRU": CELL
    | {"weight_hh": np.ones((12, H))},
    "the cell: shapes w_ih (16, 3), w_hh (20, 4), b (20,) are no LSTM": CELL
    | {"weight_hh": np.ones((20, H))},
    "bias_hh has shape (3,)": CELL | {"bias_hh": np.ones(3)},
    "lacks weight_ih_l0 but has bias_ih_l0, weight_hh, weight_ih": CELL
    | {"bias_ih_l0": np.ones(16)},
    "holds 2 recurrent layers; choose one by prefix: lstm., lstm2.": two_lstms(),
    "no tensor named like weight_ih_l0; its 1 tensors are conv.w": {"conv.w": np.ones(3)},
    "lacks weight_ih_l0 but has weight_ih_l0_reverse": {"weight_ih_l0_reverse": np.ones((16, X))},
    "lacks weight_hh_l1_reverse": both_ways("weight_hh_l1_reverse"),
    "lacks bias_hh_l0_reverse": both_ways("bias_hh_l0_reverse"),
    "lacks bias_ih_l1 but": both_ways("bias_ih_l1"),
    "bias_hh_l1_reverse has shape (3,)": both_ways(bias_hh_l1_reverse=np.ones(3)),
    "layer 1 reverse: b has 16 NaN": both_ways(bias_hh_l1_reverse=NAN),
    "forward 3 -> 4 and reverse 5 -> 4": both_ways(weight_ih_l0_reverse=np.ones((4 * H, 5))),
    "weight_hr_l0 stands for proj_size": but("", "weight_hr_l0"),
    "lacks weight_hh_l0": {"weight_ih_l0": np.ones((4 * H, X))},
    "lacks weight_ih_l1": but("", weight_ih_l2=np.ones((4 * H, H))),
    "so it is of a plain RNN": but("", weight_hh_l0=np.ones((H, H))),
    "weight_ih_l0 is int8, not float": but("", weight_ih_l0=np.ones((16, X), np.int8)),
    "weight_hh_l0 has shape (16,); weight_ih is (4H, X)": but("", weight_hh_l0=np.ones(16)),
    "layer 0: b has 16 NaN": but("", bias_hh_l0=NAN),
    "weight_ih_l0 cannot be read": but("", weight_ih_l0=np.array([{}], object)),
}


@pytest.mark.parametrize("text", TORCH_REFUSALS)
def test_torch_names_refused(tmp_path: Path, text: str) -> None:
    np.savez(tmp_path / "m.npz", **TORCH_REFUSALS[text])
    refused(tmp_path / "m.npz", text)


def test_files_refused(tmp_path: Path) -> None:
    refused(tmp_path, "is a directory")
    refused(tmp_path / "no.npz", "no.npz cannot be read (No such file or directory)")
    refused(tmp_path / "m.tflite", "for TensorFlow for example by tf2onnx")
    refused(tmp_path / "m", "m: (no suffix) is not read, but .onnx, .keras, .safetensors, .npz")
    for suffix in ("npz", "safetensors"):
        (tmp_path / f"m.{suffix}").write_bytes(b"PK\3\4 and so on")
        refused(tmp_path / f"m.{suffix}", f"m.{suffix} cannot be read as ")
    np.save(tmp_path / "a.npy", np.ones(3))
    refused((tmp_path / "a.npy").rename(tmp_path / "a.npz"), "save the tensors by name")
    np.savez(tmp_path / "m.npz", **two_lstms())
    refused(
        tmp_path / "m.npz", "no LSTM or GRU under the prefix x; it has lstm., lstm2.", prefix="x"
    )
    path = tmp_path / "m.safetensors"
    write_safetensors(path, {"weight_ih_l0": np.ones(9, "f")})
    path.write_bytes(path.read_bytes()[:-1])
    refused(path, "weight_ih_l0 lies in bytes 0 to 36, 0 to 35 are free: it is cut short")
    write_safetensors(path, {"weight_ih_l0": np.ones(1, "b")}, weight_ih_l0="F8_E5M2")
    refused(path, "is F8_E5M2")
