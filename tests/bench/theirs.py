"""hls4ml's side: its Keras front end, its Vitis backend, its own build script and csim library."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.case import Case
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import tools
from workshop.bench_table import HLS4ML

_SAME = 1e-5  # float32 against float64


@dataclass(frozen=True)
class Setting:
    """How hls4ml is asked to convert; None is its own default."""

    name: str
    precision: str | None = None
    table_size: int | None = None
    table_type: str | None = None
    native: bool = False  # add -march=native to its -O3

    def describe(self) -> str:
        """Say it in hls4ml's words."""
        tables = f", TableSize {self.table_size}" if self.table_size else ""
        entries = f", TableT {self.table_type}" if self.table_type else ""
        flag = ", -march=native" if self.native else ""
        return (self.precision or "its defaults") + tables + entries + flag


SETTINGS = (
    Setting("default"),
    Setting("default, -march=native", native=True),
    Setting("rounded", "ap_fixed<16,4,AP_RND,AP_SAT>", 4096),
    Setting("finest", "ap_fixed<16,2,AP_RND,AP_SAT>", 65536, "ap_fixed<16,2,AP_RND,AP_SAT>"),
)


def check_installed() -> None:
    """Refuse to begin without hls4ml and Keras.

    Raises:
        UsageError: one is missing.
    """
    missing = [name for name in ("hls4ml", "keras", "jax") if not importlib.util.find_spec(name)]
    if missing:
        raise UsageError(
            f"{' and '.join(missing)} not found; make bench installs it, or pip install -e .[bench]"
        )


class Hls4ml:
    """One LSTM through hls4ml; a run is one call of ``predict``, in this process."""

    tool = HLS4ML

    def __init__(self, case: Case, setting: Setting) -> None:
        self.case, self.how, self.setting = case, setting, setting.name
        self.sequences = case.few
        self.keras = _keras_model(case)
        self.folder: tempfile.TemporaryDirectory[str] | None = None

    def build(self) -> None:
        """Convert, write and compile, in a new folder.

        Raises:
            UsageError: hls4ml gave up; the text holds what it printed last.
        """
        self.folder = tempfile.TemporaryDirectory(prefix="hls4ml-bench-")
        said = io.StringIO()
        flags = (
            native_flags(Path(self.folder.name)) if self.how.native else contextlib.nullcontext()
        )
        try:
            with contextlib.redirect_stdout(said), flags:
                self.model = self._convert(Path(self.folder.name, "project"))
        except Exception as error:  # hls4ml raises this very class
            last = " / ".join(said.getvalue().splitlines()[-3:])
            raise UsageError(f"hls4ml cannot build {self.case.name}: {error}: {last}") from error

    def _convert(self, folder: Path) -> Any:
        import hls4ml

        precision = {"default_precision": self.how.precision} if self.how.precision else {}
        settings = hls4ml.utils.config_from_keras_model(
            self.keras, granularity="name", backend="Vitis", **precision
        )
        lstm = settings["LayerName"]["lstm"]
        lstm["Strategy"] = "Resource"
        lstm["ReuseFactor"] = lstm["RecurrentReuseFactor"] = self.case.reuse
        if self.how.table_size:
            lstm["TableSize"] = self.how.table_size
        if self.how.table_type:  # 1.3.0 passes over the "table" of its own "Precision"
            lstm["TableT"] = self.how.table_type
        model = hls4ml.converters.convert_from_keras_model(
            self.keras,
            hls_config=settings,
            output_dir=str(folder),
            backend="Vitis",
            io_type="io_parallel",
        )
        model.compile()
        return model

    def run(self) -> np.ndarray:
        h = self.model.predict(self.case.x[: self.sequences])
        return np.asarray(h).reshape(self.sequences, 1, self.case.hidden_size)


def _keras_model(case: Case) -> Any:
    """Make the Keras model, and make sure that it is the same LSTM.

    Raises:
        UsageError: Keras gives another h than our float reference.
    """
    os.environ["KERAS_BACKEND"] = "jax"  # the backend numpy imports it too; torch is far larger
    import keras

    (layer,) = case.model.layers
    x = keras.Input((case.steps, case.input_size))
    lstm = keras.layers.LSTM(case.hidden_size, name="lstm")  # gates i f c o, as ours
    model = keras.Model(x, lstm(x))
    lstm.set_weights([layer.w_ih.T, layer.w_hh.T, layer.b])
    h = np.asarray(model(case.x[: case.few]))
    error = float(np.abs(h - case.h[:, -1]).max())
    if error > _SAME:
        raise UsageError(
            f"Keras runs another LSTM than ours: h differs by {error:.1e}, not {_SAME}"
        )
    return model


@contextlib.contextmanager
def native_flags(folder: Path) -> Iterator[None]:
    """Put a g++ that adds -march=native first on PATH: hls4ml's script takes no flags."""
    wrapper = folder / "bin" / "g++"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec "{tools.need("g++")}" "$@" -march=native\n')
    wrapper.chmod(0o755)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{wrapper.parent}{os.pathsep}{before}"
    try:
        yield
    finally:
        os.environ["PATH"] = before
