"""Published models run whole: as ONNX Runtime runs them, and in integers near to that."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

import gallery
from gallery import EXHIBITS, Exhibit
from lstm_sharp.errors import UsageError
from workshop import results

LARGE = ("ddddocr", "dksplit", "text2tashkeel", "nano_ocr", "Resemblyzer")
FAR = {"silero-vad, 8 kHz": 2, "BeatNet": 3, "Resemblyzer": 15}
"""Those that W8A16 does not bring within 1 % everywhere, and how near at least; docs/gallery.md
says why."""
INT8 = 1.5
"""How far ONNX Runtime is from float where weights are int8: it rounds x and h to 8 bits, too."""


@lru_cache
def _made(name: str) -> Exhibit:
    try:
        return EXHIBITS[name]()
    except PackageNotFoundError as error:
        pytest.skip(f"{error}: pip install --no-deps '.[published]'")


@lru_cache
def _right(name: str) -> dict[str, np.ndarray]:
    return _made(name).right()


@lru_cache
def _found(name: str, fmt: str, backend: str) -> dict[str, np.ndarray]:
    return _made(name).run(fmt, backend)[0]


every = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name.startswith(LARGE) else ())
        for name in EXHIBITS
    ],
)


@every
def test_float_is_onnx_runtime(name: str) -> None:
    off = gallery.errors(_right(name), _found(name, "W8A16", "float"))["worst"]
    assert off < (INT8 if "int8" in name else 1e-3)


@every
def test_integers_are_near(name: str) -> None:
    in_float = _found(name, "W8A16", "float")
    most = FAR.get(name, gallery.AIM)
    for fmt, share in (("W8A16", 1), ("W16A16", 4)):
        off = gallery.errors(in_float, _found(name, fmt, "golden"))
        print(name, fmt, off)
        assert off["worst"] <= most / share and off["rms"] <= most / share / 5


@every
@pytest.mark.rtl
def test_simulated_engine_has_the_bits_and_the_cycles(name: str) -> None:
    """Of two calls, the second of which goes on with the state of the first."""
    found, reports = _made(name).run("W8A16", "rtl", 2)
    for output, value in _found(name, "W8A16", "golden").items():
        np.testing.assert_array_equal(found[output], value[:2])
    for report in reports:
        told = report.as_dict()
        assert told["cycles"] == told["predicted_cycles"] > 0


@every
def test_sets_are_disjoint(name: str) -> None:
    both = _made(name).calibration, _made(name).evaluation
    seen = [next(value for value in each.values() if np.ndim(value)) for each in both]
    calls = [{call.tobytes() for call in value} for value in seen]
    assert not calls[0] & calls[1]


@pytest.mark.parametrize(
    "name", ["silero_vad_half", "silero_vad_16k_op15", "silero_vad_openvino_16k"]
)
def test_other_files_of_silero_vad(name: str) -> None:
    exhibit = gallery.silero_vad(name)
    assert gallery.errors(exhibit.right(), exhibit.run("W8A16", "float")[0])["worst"] < 1e-3


def test_unrolled_file_of_silero_vad_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="one of 8 beside 4 Tanh.*export the layer as one LSTM"):
        gallery.silero_vad("silero_vad_op18_ifless").run("W8A16")


def test_speech_is_found_in_a_recording() -> None:
    """Its second half begins in a sentence, after which two more come."""
    name = "silero-vad, 16 kHz"
    answers = _right(name), _found(name, "W8A16", "golden")
    both = [found["output"].ravel() > 0.5 for found in answers]
    for spoken in both:
        assert spoken[0] and np.count_nonzero(spoken[1:] & ~spoken[:-1]) == 2
    assert np.count_nonzero(both[0] != both[1]) <= 1


def test_words_are_spoken() -> None:
    """A word that begins with a consonant sounds like it, on the engine as in float."""
    first = {"b": 22, "d": 24, "f": 35, "l": 46, "m": 47, "n": 48, "r": 57}  # of 74 phonemes
    letters = _made("g2p_en").evaluation["letters"][:, 0, 0]
    for found in (_right("g2p_en"), _found("g2p_en", "W8A16", "golden")):
        said = found["logits"][:, 0, 0].argmax(axis=1)
        pairs = [(chr(ord("a") + letter - 3), sound) for letter, sound in zip(letters, said)]
        heard = [first[letter] == sound for letter, sound in pairs if letter in first]
        assert len(heard) > 5 and np.mean(heard) > 0.9


def test_results_are_of_what_is_in_the_tree() -> None:
    told = {one["name"]: one for one in results.read("gallery")["exhibits"]}
    assert list(told) == list(EXHIBITS), "run make gallery"
    name = "uzmorph_bigru"
    off = gallery.errors(_found(name, "W8A16", "float"), _found(name, "W8A16", "golden"))
    assert off == pytest.approx(told[name]["of_float"]["W8A16"], rel=0.01), "run make gallery"
