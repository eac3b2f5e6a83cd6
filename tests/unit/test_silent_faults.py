"""What other converters take and get wrong without a word: here each is right, or refused.

hls4ml 1.3.0 was the one that was tried. ONNX graphs are in test_import_onnx.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keras_files as kf
import lstm_sharp
from lstm_sharp.errors import UsageError
from lstm_sharp.numerics import reference
from torch_stand_ins import H, Module, Tensor, X, stand_in, torch_h

RIGHT = {
    "LSTM: all steps": stand_in("LSTM"),
    "GRU: all steps": stand_in("GRU"),
    "no bias": stand_in("LSTM", bias=False),
    "two layers": stand_in("LSTM", num_layers=2),
    "both ways": stand_in("GRU", bidirectional=True),
    "time first": stand_in("LSTM", batch_first=False),
    "a cell": stand_in("LSTMCell"),
}
"""PyTorch modules whose h is PyTorch's."""


@pytest.mark.parametrize("which", RIGHT)
def test_modules_that_are_right(which: str) -> None:
    x = np.random.default_rng(0).normal(size=(2, 5, X))
    want = torch_h(type(RIGHT[which]).__name__, RIGHT[which], x)
    got = reference.run(lstm_sharp.load(RIGHT[which]), x).h
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


def projected() -> Any:
    module = stand_in("LSTM", proj_size=2)
    module.weight_hr_l0 = Tensor(np.ones((2, H)))
    return module


WHOLE = "is more than its rnn; choose a layer by prefix, or export the whole"
REFUSED = {
    "c of the last step": (Module(rnn=stand_in("LSTM")), WHOLE),
    "h of the first step": (Module(rnn=stand_in("LSTM")), WHOLE),
    "a linear layer on all steps": (Module(rnn=stand_in("LSTM"), fc=Module()), WHOLE),
    "a mean over steps": (Module(rnn=stand_in("GRU")), WHOLE),
    "two modules in sequence": (
        Module(a=stand_in("LSTM"), b=stand_in("LSTM")),
        "is more than its a, b; choose a layer by prefix, or export the whole",
    ),
    "proj_size": (projected(), "stands for proj_size"),
    "a plain RNN": (stand_in("RNN"), "give an LSTM or a GRU"),
    "quantised": (
        stand_in("LSTM", "torch.ao.nn.quantized.dynamic.modules.rnn"),
        "give the float module, quantisation comes after",
    ),
}
"""PyTorch modules that are more than their weights say."""


@pytest.mark.parametrize("which", REFUSED)
def test_modules_that_are_refused(which: str) -> None:
    module, told = REFUSED[which]
    with pytest.raises(UsageError) as error:
        lstm_sharp.load(module)
    assert told in str(error.value)


KERAS: dict[str, tuple[list[kf.Config], str]] = {
    "go_backwards": ([kf.cell("LSTM", "a", 4, go_backwards=True)], ""),
    "go_backwards, all steps": (
        [kf.cell("GRU", "a", 4, go_backwards=True, return_sequences=True)],
        "",
    ),
    "last step": ([kf.cell("LSTM", "a", 4)], ""),
    "no bias": ([kf.cell("GRU", "a", 4, use_bias=False)], ""),
    "both ways, last step": ([kf.both("a", kf.cell("LSTM", "f", 4))], ""),
    "hard_sigmoid": (
        [kf.cell("LSTM", "a", 4, recurrent_activation="hard_sigmoid")],
        "LSTM a has recurrent_activation='hard_sigmoid'",
    ),
    "linear": ([kf.cell("LSTM", "a", 4, activation="linear")], "LSTM a has activation='linear'"),
    "relu": ([kf.cell("GRU", "a", 4, activation="relu")], "GRU a has activation='relu'"),
    "reset_after": ([kf.cell("GRU", "a", 4, reset_after=False)], "has reset_after=False"),
    "Masking": ([kf.entry("Masking", "m"), kf.cell("LSTM", "a", 4)], "a is called on m, not on"),
}
"""Layers of a Sequential, and how they are refused."""


@pytest.mark.parametrize("which", KERAS)
def test_keras_files(tmp_path: Path, which: str) -> None:
    layers, told = KERAS[which]
    drawn = kf.draw(layers[-1], X, 0)
    path = kf.write(tmp_path / "m.keras", kf.sequential(*layers), {"a": drawn})
    if told:
        with pytest.raises(UsageError) as error:
            lstm_sharp.load(path)
        assert told in str(error.value)
    else:
        x = np.random.default_rng(0).normal(size=(2, 5, X))
        model = lstm_sharp.load(path)
        head = model.head
        assert head is not None
        got, want = head(reference.run(model, x).h), kf.output(layers[0], drawn, x)
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)
