"""Whole models that people published in Python packages, on the engine and on ONNX Runtime.

Where a package has an ONNX file, that is run as it is; of weights alone a graph is made here. No
code of a package runs, and its files are read where it is installed. The inputs are made here:
sounds, pictures of text, words.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np

import published
import sounds
from lstm_sharp.engine import config
from lstm_sharp.model import onnx_dynamic
from lstm_sharp.model.graph import Graph
from lstm_sharp.model.load import load
from lstm_sharp.numerics.formats import SUPPORTED
from lstm_sharp.runtime.choose import choose
from lstm_sharp.runtime.graphs import GraphReport, Session, series
from workshop import results

Values = Mapping[str, np.ndarray]
MADE = Path("build/gallery")
"""Where graphs of published weights are written."""


def _as_it_is(outputs: Values) -> Values:
    return outputs


@dataclass(frozen=True)
class Exhibit:
    """A published model, and what it is asked: inputs of disjoint speakers, texts, pictures.

    Inputs are series of calls, as ``runtime.graphs.series`` takes them, each of one sequence.
    """

    package: str
    path: Path
    what: str
    calibration: Values
    evaluation: Values
    answer: Callable[[Values], Values] = _as_it_is
    """Makes of the outputs what a user takes of them."""

    @cached_property
    def graph(self) -> Graph:
        """The file, cut at its recurrent parts."""
        return load(self.path, whole=True)

    @cached_property
    def states(self) -> tuple[tuple[str, str], ...]:
        """Inputs that are states, and the outputs that they come back from."""
        return self.graph.states(self.graph.filled(next(self._calls(1))))

    @cached_property
    def config(self) -> str:
        """Name the smallest shipped config that holds it."""
        cfg = choose([part.model for part in self.graph.parts], None, None, True)
        assert cfg is not None
        return cfg.name

    def right(self) -> dict[str, np.ndarray]:
        """Answer the evaluation set with ONNX Runtime, from the file itself."""
        import onnxruntime

        session = onnxruntime.InferenceSession(self.path, providers=["CPUExecutionProvider"])
        found, kept = [], {}
        for call in self._calls():
            outputs = session.run(None, {**self.graph.filled(call), **kept})
            found.append(dict(zip((out.name for out in session.get_outputs()), outputs)))
            kept = {name: found[-1][out] for name, out in self.states}
        return self._answers(found)

    def run(
        self, fmt: str, backend: str = "golden", calls: int | None = None
    ) -> tuple[dict[str, np.ndarray], GraphReport]:
        """Answer the first calls of the evaluation set, calibrated on the other."""
        found, reports = [], []
        with Session(
            self.graph,
            self.config if backend == "rtl" else None,
            backend,
            format=fmt,
            calibration=self.calibration,
            stateful=bool(self.states),
        ) as session:
            for call in self._calls(calls):
                found.append(session.run(call))
                reports.append(session.report)
        return self._answers(found), GraphReport.of(reports)

    def _calls(self, calls: int | None = None) -> Iterator[dict[str, Any]]:
        return islice(series(self.graph, self.evaluation), calls)

    def _answers(self, calls: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Stack the answers of calls, without states."""
        ends = calls[0].keys() - dict(self.states).values()
        answers = [self.answer({name: call[name] for name in ends}) for call in calls]
        return {name: np.stack([each[name] for each in answers]) for name in answers[0]}


def errors(right: Values, found: Values) -> dict[str, float]:
    """Return the worst and the rms error in % of the output's range, the most of any output."""
    told = {"worst": 0.0, "rms": 0.0}
    for name, value in right.items():
        off = 100 * (found[name].astype(float) - value) / np.ptp(value)
        told["worst"] = max(told["worst"], float(np.abs(off).max()))
        told["rms"] = max(told["rms"], float(np.sqrt(np.mean(off**2))))
    return told


def silero_vad(name: str = "silero_vad", hertz: int = 16000) -> Exhibit:
    """Chunks of 32 ms, each with the last 4 ms of the one before, of several speakers."""
    hop, calls = hertz * 32 // 1000, 200

    def chunks(seeds: range) -> np.ndarray:
        spoken = [sounds.speech(seed, calls * 0.032) for seed in seeds]
        sound = np.concatenate(spoken).reshape(-1, sounds.SPEECH_RATE // hertz).mean(1)
        seen = sounds.frames(np.pad(sound, (hop // 8, 0)), hop + hop // 8, hop)
        return seen[: calls * len(seeds), None].astype(np.float32)

    path = published.file("silero_vad", f"silero_vad/data/{name}.onnx")
    rate = {} if name.endswith(("half", "openvino_16k")) else {"sr": np.array(hertz)}
    sets = ({"input": chunks(range(*seeds)), **rate} for seeds in ((10, 20), (7, 8)))
    return Exhibit("silero-vad", path, "whether somebody speaks", *sets)


def ddddocr(name: str = "common") -> Exhibit:
    """Pictures of a few letters and digits, 64 pixels high."""

    def pictures(seeds: range) -> np.ndarray:
        drawn = np.stack([published.picture_of_text(seed, 64, 192) for seed in seeds])
        return (drawn[:, None, None] + 1).astype(np.float32) / 2

    path = published.file("ddddocr", f"ddddocr/{name}.onnx")
    sets = ({"input1": pictures(range(*seeds))} for seeds in ((0, 16), (100, 108)))
    return Exhibit("ddddocr", path, "text of pictures", *sets)


def dksplit() -> Exhibit:
    """Words without spaces between them, 24 letters."""

    def rows(first: int, count: int) -> np.ndarray:
        text = "".join(_words()[first : first + 24 * count])[: 24 * count]
        return (np.frombuffer(text.encode(), np.uint8) - ord("a") + 2).reshape(count, 1, 24).astype(np.int64)

    path = published.file("dksplit", "dksplit/models/dksplit-int8.onnx")
    sets = {"chars": rows(0, 32)}, {"chars": rows(20000, 16)}
    return Exhibit("dksplit", path, "where words begin", *sets)


def _words() -> list[str]:
    """Return words of running English text, of the standard library's own manual."""
    return re.findall("[a-z]+", " ".join(topics.values()).lower())


def g2p_en() -> Exhibit:
    """English words as phonemes: a GRU reads the letters, another writes from the state it leaves.

    The phonemes before each are those that the model itself finds most likely.
    """
    from onnx import TensorProto, helper, numpy_helper

    with np.load(published.file("g2p_en", "g2p_en/checkpoint20.npz")) as held:
        tensors = {name: held[name] for name in held.files}

    def weights(part: str) -> dict[str, np.ndarray]:
        ordered = {}
        for kind in ("w_ih", "w_hh", "b_ih", "b_hh"):
            r, z, n = np.split(tensors[f"{part}_{kind}"], 3)
            ordered[kind] = np.concatenate([z, r, n])[None]
        both = np.concatenate([ordered.pop("b_ih"), ordered.pop("b_hh")], axis=1)
        return {f"{part}_{kind}": value for kind, value in {**ordered, "b": both}.items()}

    constants = {**weights("enc"), **weights("dec"), "fc_w": tensors["fc_w"].T, "one": np.array([1])}
    constants |= {name: tensors[name] for name in ("enc_emb", "dec_emb", "fc_b")}
    gru = {"hidden_size": tensors["fc_w"].shape[1], "linear_before_reset": 1}
    made = [
        ("Gather", ["enc_emb", "letters"], ["x"], {}),
        ("GRU", ["x", "enc_w_ih", "enc_w_hh", "enc_b", "lengths"], ["", "state"], gru),
        ("Gather", ["dec_emb", "before"], ["y"], {}),
        ("GRU", ["y", "dec_w_ih", "dec_w_hh", "dec_b", "", "state"], ["h"], gru),
        ("Squeeze", ["h", "one"], ["rows"], {}),
        ("MatMul", ["rows", "fc_w"], ["raw"], {}),
        ("Add", ["raw", "fc_b"], ["logits"], {}),
    ]
    nodes = [helper.make_node(op, ins, outs, outs[-1], **more) for op, ins, outs, more in made]
    tell = helper.make_tensor_value_info
    shapes = {"letters": ["letters", "batch"], "lengths": ["batch"], "before": ["steps", "batch"]}
    kinds = {"lengths": TensorProto.INT32}
    inputs = [tell(k, kinds.get(k, TensorProto.INT64), shape) for k, shape in shapes.items()]
    outputs = [tell("logits", TensorProto.FLOAT, ["steps", "batch", len(tensors["fc_b"])])]
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g2p_en", inputs, outputs, stored)
    opset = [helper.make_opsetid("", 17)]
    path = _written("g2p_en", helper.make_model(graph, opset_imports=opset, ir_version=8))

    def spoken(first: int, count: int) -> Values:
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        words = sorted({word for word in _words() if 4 <= len(word) <= 12})
        words = list(np.random.default_rng(0).permutation(words)[first : first + count])
        letters, before = np.full((13, count), 2), np.full((1, count), 2)
        for column, word in zip(letters.T, words):
            column[: len(word)] = np.frombuffer(word.encode(), np.uint8) - ord("a") + 3
        given = {"letters": letters, "lengths": np.array([len(w) + 1 for w in words], np.int32)}
        for _ in range(9):
            (logits,) = session.run(None, {**given, "before": before})
            before = np.vstack([before, logits[-1:].argmax(2)])
        return {k: v.T[..., None] for k, v in {**given, "before": before}.items()}

    return Exhibit("g2p_en", path, "how words sound", spoken(0, 48), spoken(48, 32))


def of_weights(make: Callable[[], published.Published], what: str) -> Exhibit:
    """Take an exhibit of ``published``: a graph of its stack, and its head after that."""
    trained = make()
    head, name = trained.model.head, trained.model.name
    assert head is not None
    path = _written(name, onnx_dynamic.graph_of(trained.model))
    sets = ({"x": x[:, None]} for x in (trained.calibration, trained.evaluation))
    return Exhibit(name, path, what, *sets, lambda outputs: {"answer": head(outputs["h"])})


def _written(name: str, graph: Any) -> Path:
    MADE.mkdir(parents=True, exist_ok=True)
    path = MADE / f"{name}.onnx"
    path.write_bytes(graph.SerializeToString())
    return path
