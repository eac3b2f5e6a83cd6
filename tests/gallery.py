"""Whole models that people published in Python packages, on the engine and on ONNX Runtime.

Where a package has an ONNX file, that is run as it is; of weights alone a graph is made here. No
code of a package runs, and its files are read where it is installed. The inputs are made here:
sounds, pictures of text, words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np

import published
import sounds
from lstm_sharp.engine import config
from lstm_sharp.errors import UsageError
from lstm_sharp.model import Model, onnx_dynamic
from lstm_sharp.model.graph import Graph
from lstm_sharp.model.pieces import Recurrent
from lstm_sharp.numerics.formats import USUAL, Format
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.numerics.stored import load
from lstm_sharp.runtime.deploy import plans
from lstm_sharp.runtime.graphs import (
    GraphReport,
    GraphSession,
    InFloat,
    Session,
    calibration_of,
    series,
)
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
        """Name the smaller of two boards' configs that holds it, whole if one does."""

        def reloads(name: str) -> bool:
            cfg = config.load(name)
            return any(len(plans(part.model, cfg)) > 1 for part in self.graph.parts)

        found = []
        for name in ("pynq-z2", "zcu104"):
            with suppress(UsageError):
                found.append((reloads(name), len(found), name))
        return min(found)[2]

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
    ) -> tuple[dict[str, np.ndarray], list[GraphReport]]:
        """Answer the first calls of the evaluation set, calibrated on the other."""
        found, reports = [], []
        with self._session(fmt, backend) as session:
            for call in self._calls(calls):
                found.append(session.run(call))
                reports.append(session.report)
        return self._answers(found), reports

    def _session(self, fmt: str, backend: str) -> GraphSession:
        cfg = self.config if backend == "rtl" else None
        told = {"format": fmt, "calibration": self.calibration, "stateful": bool(self.states)}
        return Session(self.graph, cfg, backend, **told)

    def causes(self, fmt: str) -> dict[str, dict[str, np.ndarray]]:
        """Answer in float but for one thing as in integers: x, or the weights of one layer."""
        data = calibration_of(self.graph, self.calibration)
        made = {
            part.name: quantize(part.model, Format.parse(fmt), data[part.name])
            for part in self.graph.parts
            if part.name in data
        }

        def rounded(part: Recurrent, x: np.ndarray) -> tuple[Recurrent, np.ndarray]:
            own = made[part.name]
            return part, own.dequantize_input(own.quantize_input(x))

        def with_layer(index: int, part: Recurrent, x: np.ndarray) -> tuple[Recurrent, np.ndarray]:
            levels = list(part.model.levels)
            levels[index : index + 1] = made[part.name].in_float().levels[index : index + 1]
            layers = tuple(cell for level in levels for cell in level)
            return replace(part, model=replace(part.model, layers=layers)), x

        depth = max(len(model.levels) for model in made.values())
        ways = {f"weights of layer {n}": partial(with_layer, n) for n in range(depth)}
        return {name: self._in_float(way) for name, way in {"x": rounded, **ways}.items()}

    def _in_float(self, way: Callable[..., Any]) -> dict[str, np.ndarray]:
        """Answer with parts in float, each changed on the way."""
        exact, found, kept = InFloat(), [], {}

        def call(part: Recurrent, x: np.ndarray, *more: Any) -> Any:
            return exact(*way(part, x), *more)

        for values in self._calls():
            found.append(self.graph.run({**self.graph.filled(values), **kept}, call))
            kept = {name: found[-1][out] for name, out in self.states}
        return self._answers(found)

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
        off = 100 * (found[name].astype(float) - value) / np.ptp(value).astype(float)
        told["worst"] = max(told["worst"], float(np.abs(off).max()))
        told["rms"] = max(told["rms"], float(np.sqrt(np.mean(off**2))))
    return told


def silero_vad(name: str = "silero_vad", hertz: int = sounds.SPEECH_RATE) -> Exhibit:
    """Chunks of 32 ms, each with the last 4 ms of the one before: the halves of a recording."""
    hop = hertz * 32 // 1000
    sound = published.recording()
    sound = sound.reshape(-1, sounds.SPEECH_RATE // hertz).mean(axis=1)
    chunks = sounds.frames(np.pad(sound, (hop // 8, 0)), hop + hop // 8, hop)[:, None]
    path = published.file("silero_vad", f"silero_vad/data/{name}.onnx")
    rate = {} if name.endswith(("half", "openvino_16k")) else {"sr": np.array(hertz)}
    sets = ({"input": half.astype(np.float32), **rate} for half in np.array_split(chunks, 2))
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
        return (
            (np.frombuffer(text.encode(), np.uint8) - ord("a") + 2)
            .reshape(count, 1, 24)
            .astype(np.int64)
        )

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

    constants = {
        **weights("enc"),
        **weights("dec"),
        "fc_w": tensors["fc_w"].T,
        "one": np.array([1]),
    }
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


_ARABIC = (
    "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق وقد وهبوا عقلا وضميرا وعليهم أن يعامل بعضهم "
    "بعضا بروح الإخاء، لكل إنسان حق التمتع بكافة الحقوق والحريات دون أي تمييز، لكل فرد الحق في "
    "الحياة والحرية وسلامة شخصه، لا يجوز استرقاق أي شخص ويحظر الاسترقاق وتجارة الرقيق بكافة "
    "أوضاعهما، لا يعرض أي إنسان للتعذيب ولا للعقوبات أو المعاملات القاسية أو الوحشية، لكل إنسان "
    "أينما وجد الحق في أن يعترف بشخصيته القانونية، كل الناس سواسية أمام القانون ولهم الحق في "
    "التمتع بحماية متكافئة عنه دون أية تفرقة، لكل شخص الحق في أن يلجأ إلى المحاكم الوطنية"
)
"""Of the Universal Declaration of Human Rights."""


def text2tashkeel(name: str = "bilstm", output: str = "input_ids") -> Exhibit:
    """Arabic without its vowel marks, 40 letters a call."""
    letters = "ءآأؤإئابةتثجحخدذرزسشصضطظعغـفقكلمنهوي .,،"

    def rows(lines: str) -> np.ndarray:
        text = lines[: len(lines) // 40 * 40]
        return np.reshape([4 + letters.index(letter) for letter in text], (-1, 1, 40))

    path = published.file("text2tashkeel", f"text2tashkeel/models/{name}.int8.onnx")
    half = len(_ARABIC) // 2
    sets = ({output: rows(text)} for text in (_ARABIC[:half], _ARABIC[half:]))
    return Exhibit("text2tashkeel", path, "vowel marks of Arabic", *sets)


def _written(name: str, graph: Any) -> Path:
    MADE.mkdir(parents=True, exist_ok=True)
    path = MADE / f"{name}.onnx"
    path.write_bytes(graph.SerializeToString())
    return path


EXHIBITS: Mapping[str, Callable[[], Exhibit]] = {
    "silero-vad, 16 kHz": silero_vad,
    "silero-vad, 8 kHz": partial(silero_vad, hertz=8000),
    "ddddocr": ddddocr,
    "ddddocr, int8": partial(ddddocr, "common_old"),
    "dksplit, int8": dksplit,
    "text2tashkeel, int8": text2tashkeel,
    "g2p_en": g2p_en,
    "uzmorph_bigru": partial(of_weights, published.uzmorph_bigru, "parts of Uzbek words"),
    "nano_ocr": partial(of_weights, published.nano_ocr, "lines of text"),
    "BeatNet": partial(of_weights, published.beatnet, "beats of music"),
    "Resemblyzer": partial(of_weights, published.resemblyzer, "whose voice it is"),
}
AIM = 1.0
"""Of an error, in % of the output's range, from which on it is looked for where it comes from."""


def main() -> None:
    """Measure all exhibits, and write what is found to docs/results/gallery.json."""
    told = []
    for name, make in EXHIBITS.items():
        told.append({"name": name, **measured(make())})
        print(json.dumps(told[-1]), flush=True)
    results.write("gallery", {"exhibits": told})


def measured(exhibit: Exhibit) -> dict[str, Any]:
    """Return the figures of an exhibit: errors, and cycles of a call on simulated RTL."""
    right = exhibit.right()
    in_float, _ = exhibit.run("W8A16", "float")
    runs = {fmt: exhibit.run(fmt)[0] for fmt in USUAL}
    far = errors(in_float, runs["W8A16"])["worst"] > AIM
    causes = exhibit.causes("W8A16") if far else {}
    _, (_, report) = exhibit.run("W8A16", "rtl", 2)  # the second goes on with states
    ran = [each for reports in report.parts.values() for each in reports]
    parts = [part.model for part in exhibit.graph.parts if report.parts[part.name]]
    return {
        "file": exhibit.path.name if MADE not in exhibit.path.parents else None,
        "what": exhibit.what,
        "parts": [f"{model.kind.upper()} {_sizes(model)}" for model in parts],
        "errors": {
            "float": errors(right, in_float),
            **{fmt: errors(right, found) for fmt, found in runs.items()},
        },
        "of_float": {fmt: errors(in_float, found) for fmt, found in runs.items()},
        "causes": {name: errors(in_float, found) for name, found in causes.items()},
        "config": exhibit.config,
        "steps": sum(each.steps for each in ran),
        "cycles": sum(each.cycles or 0 for each in ran),
        "load_cycles": sum(each.load_cycles or 0 for each in ran),
        "by_levels": any((each.stages or 1) > 1 for each in ran),
    }


def _sizes(model: Model) -> str:
    """Write X, and H of each level, as 40 -> 256 -> 256; as 64 + 64 where both ways are run."""
    levels = (" + ".join(str(cell.hidden_size) for cell in level) for level in model.levels)
    return " → ".join([str(model.input_size), *levels])


if __name__ == "__main__":
    main()
