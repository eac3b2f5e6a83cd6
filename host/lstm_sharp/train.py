"""Training in the engine's arithmetic, with PyTorch: forward the golden model's bits, to the last.

    model.lstm = QuantLSTM.from_torch(model.lstm, "W4A8", x)  # x typical, (batch, time, features)
    ...  # a few epochs, as any module
    model.lstm.to_package("package", "pynq-z2")

Gradients pass through the roundings (``numerics.gradients``). See docs/training.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lstm_sharp import package
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError, lacking
from lstm_sharp.model.model import Model
from lstm_sharp.model.torch_names import linear_head
from lstm_sharp.numerics import gradients, stored
from lstm_sharp.numerics.formats import Format
from lstm_sharp.numerics.golden import State
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.numerics.quantized import QuantModel
from lstm_sharp.runtime.choose import choose
from lstm_sharp.runtime.inputs import check_input, check_lengths, check_state

try:
    import torch
except ImportError:
    raise lacking("torch", "training") from None

_NAMES = ("w_ih", "w_hh", "b")
_INSIDE = 0.49
"""How far from its integer, in LSBs, a weight may begin."""


class QuantLSTM(torch.nn.Module):
    """An ``nn.LSTM`` in integers: what it computes in ``forward`` is what the engine will.

    Its parameters are float64 weights and biases, ``w_ih_l0``, ``w_hh_l0``, ``b_l0`` and so on in
    the order of ``Model.layers``; their scales are fixed.
    """

    kind = "lstm"

    def __init__(self, model: Model, batch_first: bool = True) -> None:
        """Take a model that has its integers with it, as ``lstm_sharp.load`` reads it of a file.

        Args:
            model: with ``quantized``, whose bits are those of ``forward`` before any training. A
                level without a weight of -2**(w - 1), which packed products lack, gets none.
            batch_first: whether x and h are (batch, time, ...) or (time, batch, ...).

        Raises:
            UsageError: it has none, or cells of the other kind.
        """
        super().__init__()
        held = model.quantized
        if held is None or held.kind != self.kind:
            what = f"is a {held.kind}" if held else "has no integers: see from_torch"
            raise UsageError(f"{type(self).__name__} takes a quantised {self.kind}; it {what}")
        self.batch_first, self._model, self._ends = batch_first, model, list[tuple[int, int]]()
        of_b = 1 << (held.fmt.bias_bits - 1)
        for index, level in enumerate(held.levels):
            most = held.fmt.of_level(index).most_weight
            least = min(w.min() for q in level for w in (q.w_ih, q.w_hh))
            of_w = min(-most, int(least)), most
            self._ends += [of_w, of_w, (-of_b, of_b - 1)] * len(level)
        for n, (cell, ints, units) in enumerate(zip(model.layers, held.layers, held.units)):
            for name, unit in zip(_NAMES, units):
                whole = getattr(ints, name)
                near = np.clip(getattr(cell, name) / unit, whole - _INSIDE, whole + _INSIDE) * unit
                value = torch.nn.Parameter(torch.from_numpy(near))  # a bias may have 39 bits
                self.register_parameter(f"{name}_l{n}", value)

    @classmethod
    def from_torch(
        cls, lstm: Any, fmt: Format | str, calibration: np.ndarray | Any, **how: Any
    ) -> QuantLSTM:
        """Choose scales for a trained module, which stay as they are.

        Args:
            lstm: an ``nn.LSTM``, or else what ``lstm_sharp.load`` takes, or a ``Model``.
            fmt: widths of weights and activations, or their name, such as W4A8.
            calibration: x as the model will see it, (batch, time, X) or (time, X), array or tensor.
            how: more that ``quantize`` takes: limits of the engine, and the method. Without any,
                engines with row scales take the weights, packed or not.

        Raises:
            UsageError: as ``load`` and ``quantize``.
        """
        model = lstm if isinstance(lstm, Model) else stored.load_model(lstm)
        data = _array(calibration) if isinstance(calibration, torch.Tensor) else calibration
        made = quantize(model, fmt, data, **{"symmetric": True, **how})
        return cls(replace(model, quantized=made), getattr(lstm, "batch_first", True))

    def forward(self, x: Any, state: Any = None, lengths: Any = None) -> tuple[Any, Any]:
        """Run the integers.

        Args:
            x: (batch, time, X), or a ``PackedSequence``.
            state: h and c to begin with, (cells, batch, H) each; None: zeros.
            lengths: whole numbers (batch,): steps of each sequence; None: all.

        Returns:
            h (batch, time, hidden), zeros after the last step of a sequence, or packed as x is; and
            h and c after it, (cells, batch, H) each.

        Raises:
            UsageError: wrong shapes or types, NaN, or weights that are NaN.
        """
        return self._run(x, state, lengths)

    @torch.compiler.disable  # which would take NumPy's steps for its own
    def _run(self, x: Any, state: Any, lengths: Any) -> tuple[Any, Any]:
        if isinstance(x, torch.nn.utils.rnn.PackedSequence):
            return self._packed(x, state)
        kind = x.dtype if isinstance(x, torch.Tensor) else f"a {type(x).__name__}"
        if kind not in (torch.float32, torch.float64):
            raise UsageError(f"x is {kind}; give a tensor of float32 or float64")
        check_input(self._model, _array(x), "x")
        x = x if self.batch_first else x.swapaxes(0, 1)
        if state is None:
            zeros = x.new_zeros(self._model.state_shape(len(x)))
            state = zeros, zeros
        start: Any = tuple(map(_array, state))
        check_state(self._model, len(x), start)
        ends = np.full(len(x), x.shape[1]) if lengths is None else check_lengths(x, lengths)
        h, *after = _Golden.apply(self, ends, x, *state, *self._weights())
        return h if self.batch_first else h.swapaxes(0, 1), tuple(after)

    def _packed(self, x: Any, state: Any) -> tuple[Any, Any]:
        rnn = torch.nn.utils.rnn
        padded, lengths = rnn.pad_packed_sequence(x, batch_first=self.batch_first)
        h, after = self._run(padded, state, lengths)
        order = torch.arange(len(lengths)) if x.sorted_indices is None else x.sorted_indices.cpu()
        h = h.index_select(0 if self.batch_first else 1, order.to(h.device))
        data = rnn.pack_padded_sequence(h, lengths[order], batch_first=self.batch_first).data
        return x._replace(data=data), after

    def to_quantized(self) -> QuantModel:
        """Give the integer model, whose golden run has the bits of ``forward``.

        Raises:
            UsageError: weights that are NaN or infinite.
        """
        held: QuantModel = self._model.quantized
        whole = [
            np.clip(np.floor(value + 0.5), least, most).astype(np.int64)
            for value, least, most in self._in_lsbs()
        ]
        cells = [replace(q, **dict(zip(_NAMES, whole[3 * n :]))) for n, q in enumerate(held.layers)]
        return replace(held, layers=tuple(cells))

    def to_model(self, head: Any = None) -> Model:
        """Give the model for sessions and files: the integers, and the floats they stand for.

        Args:
            head: an ``nn.Linear`` on h at each step; by default what the model had after its LSTM.

        Raises:
            UsageError: the head takes another width than h has, or weights are NaN or infinite.
        """
        made, after = self.to_quantized(), self._model.head
        if head is not None:
            bias = None if head.bias is None else _array(head.bias)
            weight, width = _array(head.weight), self._model.hidden_size
            if weight.shape[1] != width:
                raise UsageError(f"the head takes {weight.shape[1]} values, h has {width}")
            after = linear_head(self._model.name, weight, bias)
        cells = made.in_float().layers
        return replace(self._model, layers=cells, quantized=replace(made, head=after), head=after)

    def save(self, file: str | os.PathLike[str], head: Any = None) -> None:
        """Write a quantised model file, ``.npz``, which all commands and ``load`` take.

        Raises:
            UsageError: it cannot be written.
        """
        stored.write(file, self.to_model(head), {"method": "training"})

    def to_package(
        self, folder: str | Path, config: str | Config | None = None, head: Any = None, **how: Any
    ) -> package.Package:
        """Write the folder that goes to the board.

        Args:
            folder: new, or a package.
            config: one, its name or its file; by default the smallest shipped one that holds it.
            head: as ``to_model`` takes it.
            how: more that ``package.write`` takes: schedule, overlay.

        Raises:
            UsageError: as ``package.write``.
        """
        model = self.to_model(head)
        cfg = choose(model.quantized, config, str(model.quantized.fmt), required=True)
        assert cfg is not None
        cfg, how["overlay"] = package.for_overlay(cfg, how.get("overlay"))
        return package.write(model, cfg, folder, **how)

    def _weights(self) -> list[Any]:
        cells = range(len(self._model.layers))
        return [getattr(self, f"{name}_l{n}") for n in cells for name in _NAMES]

    def _in_lsbs(self) -> Iterator[tuple[np.ndarray, int, int]]:
        """Yield what the parameters are in LSBs of their integers, and the ends of these."""
        units = self._model.quantized.units
        for value, unit, ends in zip(self._weights(), sum(units, ()), self._ends):
            found = _array(value) / unit
            if not np.isfinite(found).all():
                raise UsageError("weights are NaN or infinite: training diverged; lower its rate")
            yield found, *ends


class QuantGRU(QuantLSTM):
    """An ``nn.GRU`` in integers, as ``QuantLSTM``.

    Its rows are the engine's four a neuron: n_h, r, n_x, z.
    """

    kind = "gru"

    def forward(self, x: Any, state: Any = None, lengths: Any = None) -> tuple[Any, Any]:
        """Run the integers, as ``QuantLSTM``; a state is one tensor, h before it is rounded."""
        h, (_, last) = self._run(x, None if state is None else (state, state), lengths)
        return h, last


class _Golden(torch.autograd.Function):
    """The golden model as a function of x, a state and the parameters of a module."""

    @staticmethod
    def forward(ctx: Any, module: QuantLSTM, lengths: Any, *given: Any) -> tuple[Any, ...]:
        model, (x, h, c) = module.to_quantized(), map(_array, given[:3])
        state = State(*model.quantize_state(h, c))
        found, after, noted = gradients.run(model, model.quantize_input(x), state, lengths)
        ctx.save_for_backward(*given)
        ctx.held = module, model, noted
        made = model.dequantize_h(found), model.dequantize_h(after.h), model.dequantize_c(after.c)
        return tuple(torch.from_numpy(value).to(given[0]) for value in made)

    @staticmethod
    def backward(ctx: Any, *of: Any) -> tuple[Any, ...]:
        module, model, noted = ctx.held
        of_h, *of_state = map(_array, of)
        found = gradients.back(model, noted, of_h, State(*of_state))
        given, reaches = ctx.saved_tensors, (model.x_reach, 1.0, model.c_reach)
        made = [
            np.where(np.abs(_array(value)) <= reach, g, 0.0)
            for value, reach, g in zip(given, reaches, found[:3])
        ]
        for (lsbs, least, most), g in zip(module._in_lsbs(), sum(found.cells, ())):
            further = (lsbs > most + 0.5) & (g < 0) | (lsbs < least - 0.5) & (g > 0)
            made.append(np.where(further, 0.0, g))  # what is held to an end may come back
        return None, None, *(torch.from_numpy(g).to(value) for g, value in zip(made, given))


def _array(value: Any) -> np.ndarray:
    return np.asarray(value.detach().cpu().double().numpy())
