"""What ``torch.save`` wrote is read as data: all forms of it, and nothing in it is ever called."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

import published
import torch_file
from lstm_sharp.model import load
from models import bounded, refused, weights
from published import read_torch
from torch_file import DICTIONARY, archive, pickled, storage, tensor, text


@pytest.mark.parametrize("row", [False, True])
def test_both_forms(tmp_path: Path, row: bool) -> None:
    """Types, views of storages, and of a bfloat16 the float32 that it is the upper half of."""
    whole = np.arange(24.0, dtype="f").reshape(4, 6)
    bf16 = (whole.view("u4") >> 16).astype("u2")
    tensors = {"all": whole, "turned": whole.T, "part": whole[1:3, ::2], "one": whole[3, 5:]}
    tensors |= {kind: whole.astype(kind) for kind in ("e", "d", "b", "l")} | {"bf16": bf16}
    tensors |= {"scalar": np.array(3.5, "f"), "empty": np.zeros((0, 3), "f")}
    found = read_torch(torch_file.save(tmp_path / "m.pt", tensors, row))
    assert found.keys() == tensors.keys()
    for name, value in (tensors | {"bf16": whole}).items():
        np.testing.assert_array_equal(found[name], value, strict=True)


@pytest.mark.parametrize("suffix", ["pt", "pth", "bin", "ckpt", "jit"])
def test_a_model_of_any_suffix(tmp_path: Path, suffix: str) -> None:
    (layer,) = load(torch_file.save(tmp_path / f"m.{suffix}", weights())).layers
    np.testing.assert_array_equal(layer.w_hh, weights()["weight_hh_l0"])


def test_checkpoints_and_modules(tmp_path: Path) -> None:
    """What a class of one's own keeps is looked into, and what else lies beside does no harm."""
    held = tensor(storage("0", "Float", 2), 0, (2,), (1,))
    state = DICTIONARY + text("w") + held + b"s"
    parts = b"}" + text("_parameters") + state + b"s" + text("training") + b"\x88s"
    inner = b"cown\nInner\n)\x81" + parts + b"b"
    modules = b"}" + text("_modules") + DICTIONARY + text("inner") + inner + b"ssb"
    entries = {
        "state": state,
        "module": b"cown\nOuter\n)\x81" + modules,
        "vocabulary": b"cown\nList\n)R(" + text("a") + text("b") + b"e",
        "scalar": b"cnumpy.core.multiarray\nscalar\n(" + text("f8") + text("x") + b"tR",
        "names": b"\x8f(" + text("a") + b"\x90",
        "options": b"(" + text("lr") + b"G?PbM\xd2\xf1\xa9\xfcd",
    }
    path = archive(tmp_path / "m.pt", pickled(entries), _0=np.array([1, 2], "f").tobytes())
    found = read_torch(path)
    assert list(found) == ["state.w", "module.inner.w"]
    assert all(value.tolist() == [1, 2] for value in found.values())


def test_published_files() -> None:
    """A whole module gives what its weights alone do; and TorchScript."""
    module, alone = (
        read_torch(published.file("BeatNet", f"BeatNet/models/{name}"))
        for name in ("model-1.pt", "model_1_weights.pt")
    )
    assert module.keys() == alone.keys()
    for name, value in module.items():
        np.testing.assert_array_equal(value, alone[name])
    path = published.file("silero-vad", "silero_vad/data/silero_vad.jit")
    for prefix in ("_model.decoder", "_model_8k.decoder"):
        (cell,) = load(path, prefix).layers
        assert cell.w_hh.shape == (4 * 128, 128) and 0.1 < cell.w_hh.std() < 1


def test_nothing_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    call = b"cos\nsystem\n(" + text("touch called") + b"tR"
    for data in (b"\x80\x02" + call + b".", pickled({"a": call}), pickled({"weight_ih_l0": call})):
        refused(archive(tmp_path / "m.pt", data), "no tensor named like weight_ih_l0")
    (tmp_path / "m.pth").write_bytes(b"\x80\x02" + call + b".")
    refused(tmp_path / "m.pth", "cannot be read as a file of PyTorch")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.pt", "m.pth"]


SHARED = b"}q\0" + b"".join(
    b"0}(" + text("a") + b"h" + bytes([n]) + text("b") + b"h" + bytes([n]) + b"uq" + bytes([n + 1])
    for n in range(60)
)
HARM = {
    "has EXT1 at step 6": pickled({"a": b"\x82\x01"}),
    "more than 2097152 entries, or a ring": pickled({"a": SHARED}),
    "maximum recursion depth": pickled({"a": b"}q\0" + text("a") + b"h\0s"}),
    "at step 2,097,152": b"\x80\x02" + b"N0" * (1 << 21) + b".",
    "0 of its members are a data.pkl": b"",
    "pop from empty list": b"\x80\x020.",
    "pickle exhausted before seeing STOP": pickled({"a": b"N"})[:-1],
}


@pytest.mark.parametrize("told", HARM)
def test_harm(tmp_path: Path, told: str) -> None:
    path = archive(tmp_path / "m.pt", HARM[told])
    if "members" in told:
        path.write_bytes(path.read_bytes().replace(b"data.pkl", b"data.pkx"))
    refused(path, told)


MANY = (1,) * 9
CUT = {
    "is more than the 12 numbers": (0, (4, 4), (4, 1)),
    "shape [12] with strides [1] from 1 on is": (1, (12,), (1,)),
    "shape [13] with strides [0] from 0 on": (0, (13,), (0,)),
    "are no whole numbers": (0, (-1, 3), (3, 1)),
    "has 1 axes and 2 strides": (0, (12,), (1, 1)),
    "has 9 axes and 9 strides": (0, MANY, MANY),
}


@pytest.mark.parametrize("told", CUT)
def test_tensors_that_lie(tmp_path: Path, told: str) -> None:
    offset, shape, strides = CUT[told]
    made = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage("0", "Float", 12)
    numbers = [
        b"(" + b"".join(b"J" + n.to_bytes(4, "little", signed=True) for n in each) + b"t"
        for each in (shape, strides)
    ]
    made += b"J" + offset.to_bytes(4, "little") + b"".join(numbers) + b"\x89}tR"
    refused(archive(tmp_path / "m.pt", pickled({"weight_ih_l0": made}), _0=bytes(48)), told)


def test_storages_that_lie(tmp_path: Path) -> None:
    put = partial(archive, tmp_path / "m.pt")
    odd = pickled({"weight_ih_l0": tensor(storage("0", "QInt8", 1), 0, (1,), (1,))})
    refused(put(odd, _0=bytes(4)), "it is QInt8, not one of Half, BFloat16, Float")
    lost = pickled({"weight_ih_l0": tensor(storage("7", "Float", 1), 0, (1,), (1,))})
    refused(put(lost, _0=bytes(4)), "weight_ih_l0 cannot be read")
    refused(put(lost, "big", _7=bytes(4)), "its numbers begin with the highest byte")
    (tmp_path / "m.pth").write_bytes(b"\x80\x02\x8b\xff\xff\xff\x7f.")  # a number of 2 GiB
    with bounded():
        refused(tmp_path / "m.pth", "not enough data in stream to read long4")
    path = torch_file.save(tmp_path / "m.pth", weights(), row=True)
    path.write_bytes(path.read_bytes()[:-1])
    refused(path, "ends behind the file, which is cut short")
