"""LSTMs that people trained and published in Python packages, with inputs like those they see.

A package's files are read where it is installed, and none of its code runs. The inputs are made
here: sounds, lines of text, symbols, through the layers that the package has below the LSTM.
"""

from __future__ import annotations

import json
import wave
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import sounds
from lstm_sharp import arrays
from lstm_sharp.model import Model, onnx_dynamic
from lstm_sharp.model.torch_file import open_torch
from lstm_sharp.model.torch_names import from_torch_names
from lstm_sharp.numerics import golden, reference
from lstm_sharp.numerics.accuracy import decibels
from lstm_sharp.numerics.formats import USUAL, Format
from lstm_sharp.numerics.quantize import quantize

Weights = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Published:
    """A trained LSTM, and x (sequences, T, X) float32 of two disjoint sets of speakers, texts."""

    model: Model
    calibration: np.ndarray
    evaluation: np.ndarray


def answers(published: Published) -> dict[str, np.ndarray]:
    """Compute h (sequences, T, hidden) of the evaluation set.

    Returns:
        That of ``float`` first, then of our formats, quantised with the calibration set, and of
        ONNX Runtime's dynamic int8, with a scale a tensor (``ORT tensor``) or a row of gates (``ORT
        channel``).
    """
    model, x = published.model, published.evaluation
    found = {"float": reference.run(model, x).h}
    for fmt in USUAL:
        quantized = quantize(model, Format.parse(fmt), published.calibration)
        h, _ = golden.run(quantized, quantized.quantize_input(x))
        found[fmt] = quantized.dequantize_h(h)
    graph = onnx_dynamic.graph_of(model)
    for kind in ("tensor", "channel"):
        dynamic = onnx_dynamic.dynamic_int8(graph, per_channel=kind == "channel")
        found[f"ORT {kind}"] = onnx_dynamic.run(dynamic, x)
    return found


def figures(found: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return signal to error in dB of each of ``answers`` but the first, which is the signal."""
    right, *_ = found.values()
    return {name: decibels(right, h) for name, h in found.items() if h is not right}


def least_cosine(model: Model, found: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return how alike the head's answers are to that of float, the worst of all sequences."""
    assert model.head is not None
    vectors = {name: model.head(h).reshape(len(h), -1) for name, h in found.items()}
    units = {k: v / np.linalg.norm(v, axis=1, keepdims=True) for k, v in vectors.items()}
    right = units.pop("float")
    return {name: float((right * unit).sum(1).min()) for name, unit in units.items()}


def file(package: str, path: str) -> Path:
    """Find a file of an installed package.

    Raises:
        importlib.metadata.PackageNotFoundError: it is not installed.
    """
    return Path(str(distribution(package).locate_file(path)))


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """Read all tensors of a file of PyTorch."""
    with open_torch(path) as tensors:
        return {name: read() for name, read in tensors.items()}


def recording() -> np.ndarray:
    """Return (samples,) of a man who reads six short sentences, 16 kHz, between -1 and 1."""
    path = file("useful-moonshine-onnx", "moonshine_onnx/assets/beckett.wav")
    with wave.open(str(path)) as held:
        assert held.getframerate() == sounds.SPEECH_RATE
        return np.frombuffer(held.readframes(held.getnframes()), "<i2") / 2**15


def _made(
    name: str,
    tensors: Weights,
    prefix: str,
    draw: Callable[[int], np.ndarray],
    calibration: int = 4,
    evaluation: int = 4,
    head: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Published:
    """Make the model, and sets of so many sequences (T, X), each of a seed of its own."""
    model = from_torch_names({k: partial(tensors.get, k) for k in tensors}, name, prefix)
    x = np.stack([draw(seed) for seed in range(calibration + evaluation)]).astype(np.float32)
    return Published(replace(model, head=head), x[:calibration], x[calibration:])


@lru_cache
def beatnet() -> Published:
    """Beats of music: 150 -> 150 -> 150 over 10 s of log-filtered spectra, 20 ms each.

    The head makes likelihoods (batch, T, 3) of a beat, the first of a bar, and neither.
    """
    tensors = read_torch(file("BeatNet", "BeatNet/models/model_1_weights.pt"))
    size, hop, steps = 1411, 441, 500
    hertz = np.arange(size // 2) * sounds.MUSIC_RATE / (size - 1)
    edges = 440 * 2 ** (np.arange(-93, 127) / 24)  # 24 bands an octave
    edges = edges[(edges >= 30) & (edges <= 17000)]
    edges = hertz[np.unique(np.abs(hertz - edges[:, None]).argmin(1))]
    bands = sounds.triangles(edges, hertz)
    bands /= bands.sum(1, keepdims=True)

    def draw(seed: int) -> np.ndarray:
        sound = sounds.music(seed, 11)
        spectra = np.fft.rfft(sounds.frames(sound, size, hop)[:steps] * np.hanning(size))
        levels = np.log10(1 + np.abs(spectra[:, : size // 2]) @ bands.T)
        rises = np.maximum(0, np.diff(levels, axis=0, prepend=levels[:1]))
        features = np.hstack([levels, rises])[:, None]
        x = _pool(_relu(_conv(features, tensors, "conv1")), (2,), (2,)).reshape(steps, -1)
        return _linear(x, tensors, "linear0")

    def likelihood(h: np.ndarray) -> np.ndarray:
        raw = np.exp(_linear(h, tensors, "linear"))
        return raw / raw.sum(axis=-1, keepdims=True)

    return _made("BeatNet", tensors, "lstm", draw, head=likelihood)


@lru_cache
def g2p_fa() -> Published:
    """Persian words of ten letters: the encoder, 40 -> 256 -> 256."""
    tensors = read_torch(file("g2p_fa", "g2p_fa/data/weights"))
    embedding, start, end = tensors["encoder.embedding.weight"], 1, 2

    def draw(seed: int) -> np.ndarray:
        letters = np.random.default_rng(seed).integers(end + 1, len(embedding), 10)
        return embedding[[start, *letters, end]]

    return _made("g2p_fa", tensors, "encoder.rnn", draw, 32, 32)


@lru_cache
def nano_ocr() -> Published:
    """Lines of text, 32 pixels high: 512 -> 256 + 256 over 155 columns.

    The head makes scores (batch, T, 1 + characters) of none and of each of ``OCR_CHARACTERS``.
    """
    tensors = read_torch(file("nano_ocr", "nano_ocr/model/nano_ocr_ftr.pth"))
    layers = (  # convolution, normalisation, stride of the pool
        ("cnn.0", "", (2, 2)),
        ("cnn.3", "", (2, 2)),
        ("cnn.6", "cnn.7", ()),
        ("cnn.9", "", (2, 1)),
        ("cnn.12", "cnn.13", (2, 1)),
        ("cnn.16", "cnn.17", ()),
    )

    def draw(seed: int) -> np.ndarray:
        x = picture_of_text(seed, 32, 616)[None, None]
        for conv, norm, stride in layers:
            x = _conv(x, tensors, conv, pad=int(conv != "cnn.16"))
            x = _relu(_normalised(x, tensors, norm) if norm else x)
            if stride:
                x = _pool(x, (2, 2), stride)
        return x[0, :, 0].T

    return _made("nano_ocr", tensors, "rnn", draw, head=lambda h: _linear(h, tensors, "fc"))


@lru_cache
def resemblyzer() -> Published:
    """A speaker's embedding: 40 -> 256 -> 256 -> 256 over 4 s of mel spectra, 10 ms each.

    The head makes (batch, 256) of h's last step.
    """
    tensors = read_torch(file("Resemblyzer", "resemblyzer/pretrained.pt"))
    size, hop, steps, rate = 400, 160, 400, sounds.SPEECH_RATE
    # The scale of Slaney's toolbox: linear up to 1 kHz, 27 steps for a factor of 6.4 above it.
    scale = np.linspace(0, 15 + 27 * np.log(8) / np.log(6.4), 42)
    edges = np.where(scale < 15, scale * 200 / 3, 1000 * 6.4 ** ((scale - 15) / 27))
    bands = sounds.triangles(edges, np.fft.rfftfreq(size, 1 / rate))
    bands *= 2 / (edges[2:] - edges[:-2])[:, None]

    def draw(seed: int) -> np.ndarray:
        sound = np.pad(sounds.speech(seed, steps * hop / rate), size // 2)
        spectra = np.fft.rfft(sounds.frames(sound, size, hop)[:steps] * sounds.hann(size))
        return np.abs(spectra) ** 2 @ bands.T

    def embed(h: np.ndarray) -> np.ndarray:
        raw = _relu(_linear(h[:, -1], tensors, "model_state.linear"))
        return raw / np.linalg.norm(raw, axis=1, keepdims=True)

    return _made("Resemblyzer", tensors, "model_state.lstm", draw, 32, 8, embed)


@lru_cache
def silero_vad() -> Published:
    """Whether somebody speaks: 128 -> 128 over 39 s, 32 ms a step.

    The head makes the probabilities (batch, T).
    """
    path = file("silero_vad", "silero_vad/data/silero_vad_16k.safetensors")
    with arrays.open_safetensors(path) as lazy:
        tensors = {name: read() for name, read in lazy.items()}
    chunk, context, steps = 512, 64, 1231

    def draw(seed: int) -> np.ndarray:
        sound = sounds.speech(seed, steps * chunk / sounds.SPEECH_RATE)
        x = sounds.frames(np.pad(sound, (context, 0)), context + chunk, chunk)[:, None]
        x = _conv(np.pad(x, ((0, 0), (0, 0), (0, context)), "reflect"), tensors, "stft_conv", 128)
        x = np.hypot(*np.split(x, 2, axis=1))
        for name, stride in (("conv1", 1), ("conv2", 2), ("conv3", 2), ("conv4", 1)):
            x = _relu(_conv(x, tensors, name, stride, 1))
        return x[:, :, 0]

    def probability(h: np.ndarray) -> np.ndarray:
        raw = _relu(h) @ tensors["final_conv.weight"][0, :, 0] + tensors["final_conv.bias"]
        return 1 / (1 + np.exp(-raw))

    return _made("silero_vad", tensors, "lstm_cell", draw, head=probability)


@lru_cache
def uzmorph_nn() -> Published:
    """Uzbek words of 24 letters: 64 -> 64 + 64 -> 64 + 64. The head makes scores of tags."""
    return _uzmorph("uzmorph_nn", "morph_bilstm.pth", "lstm")


@lru_cache
def uzmorph_bigru() -> Published:
    """The same with GRUs."""
    return _uzmorph("uzmorph_bigru", "morph_bigru.pth", "gru")


def _uzmorph(package: str, weights: str, prefix: str) -> Published:
    tensors = read_torch(file(package, f"{package}/data/{weights}"))
    embedding = tensors["char_embeddings.weight"]
    symbols = json.loads(file(package, f"{package}/data/char_vocab.json").read_text("utf-8"))
    letters = [index for symbol, index in symbols.items() if len(symbol) == 1]

    def draw(seed: int) -> np.ndarray:
        return embedding[np.random.default_rng(seed).choice(letters, 24)]

    def scores(h: np.ndarray) -> np.ndarray:
        return _linear(h, tensors, "hidden2tag")

    return _made(package, tensors, prefix, draw, 32, 32, scores)


PUBLISHED = (beatnet, g2p_fa, nano_ocr, resemblyzer, silero_vad, uzmorph_nn)


def _linear(x: np.ndarray, tensors: Weights, name: str) -> np.ndarray:
    return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]


def _relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def _conv(x: np.ndarray, tensors: Weights, name: str, stride: int = 1, pad: int = 0) -> np.ndarray:
    """Convolve x (batch, channels, ...) along all further axes."""
    weight = tensors[f"{name}.weight"]
    bias = tensors.get(f"{name}.bias", np.zeros(len(weight), np.float32))
    seen = _windows(x, weight.shape[2:], (stride,) * (x.ndim - 2), (pad,) * (x.ndim - 2))
    last = tuple(range(2 - x.ndim, 0))
    out = np.tensordot(seen.astype(np.float32), weight, ((1, *last), (1, *last))) + bias
    return np.moveaxis(out, -1, 1)


def _pool(x: np.ndarray, size: tuple[int, ...], stride: tuple[int, ...]) -> np.ndarray:
    """Take the largest of each window of x >= 0, padded along axes where windows overlap."""
    pad = tuple(int(step < extent) for step, extent in zip(stride, size))
    return _windows(x, size, stride, pad).max(tuple(range(-len(size), 0)))


def _windows(
    x: np.ndarray, size: tuple[int, ...], stride: tuple[int, ...], pad: tuple[int, ...]
) -> np.ndarray:
    """Return the windows of x (batch, channels, ...): its axes, then those of a window."""
    padded = np.pad(x, ((0, 0), (0, 0), *((n, n) for n in pad)))
    seen = sliding_window_view(padded, size, tuple(range(2, x.ndim)))
    return seen[(..., *(slice(None, None, n) for n in stride), *[slice(None)] * len(size))]


def _normalised(x: np.ndarray, tensors: Weights, name: str) -> np.ndarray:
    """Apply a trained batch normalisation to x (batch, channels, height, width)."""
    weight, bias, mean, variance = (
        tensors[f"{name}.{kind}"][:, None, None]
        for kind in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias


OCR_CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.- "


def line_of_text(seed: int) -> str:
    """Draw characters, more than a picture takes."""
    return "".join(np.random.default_rng(seed).choice(list(OCR_CHARACTERS), 80))


def picture_of_text(seed: int, height: int, width: int) -> np.ndarray:
    """Draw a line dark on light ground, (height, width) from -1 to 1."""
    import matplotlib
    from matplotlib.ft2font import FT2Font

    rng = np.random.default_rng(seed)
    fonts = sorted(Path(matplotlib.get_data_path(), "fonts", "ttf").glob("DejaVu*.ttf"))
    fonts = [path for path in fonts if "Display" not in path.name]
    font = FT2Font(str(fonts[seed % len(fonts)]))
    font.set_size(int(rng.integers(16, 23)) * height // 32, 72)
    font.set_text(line_of_text(seed))
    font.draw_glyphs_to_bitmap(antialiased=True)
    ink = np.asarray(font.get_image())[:height, :width] / 255
    paper, dark = rng.uniform(0.7, 1), rng.uniform(0, 0.3)
    image = rng.normal(paper, 0.02, (height, width))
    top = (height - len(ink)) // 2
    image[top : top + len(ink), : ink.shape[1]] += (dark - paper) * ink
    return 2 * np.clip(image, 0, 1) - 1


def main() -> None:
    """Print the figures of all models, their mean, and how alike the answers of heads are."""
    found = {make().model.name: (make(), answers(make())) for make in PUBLISHED}
    rows = {name: figures(each) for name, (_, each) in found.items()}
    _print("dB", "T", next(iter(rows.values())))
    for name, row in rows.items():
        _print(
            name, found[name][0].evaluation.shape[1], (f"{figure:.1f}" for figure in row.values())
        )
    mean = np.mean([list(row.values()) for row in rows.values()], axis=0)
    _print("mean", "", (f"{figure:.1f}" for figure in mean))
    print("\nleast cosine of a head's answer to that of float")
    for name, (published, each) in found.items():
        if published.model.head:
            cosines = least_cosine(published.model, each)
            _print(name, "", (f"{cosine:.4f}" for cosine in cosines.values()))


def _print(name: str, steps: object, row: Iterable[str]) -> None:
    print(f"{name:12}{steps:>6}", *(f"{cell:>12}" for cell in row), sep="")


if __name__ == "__main__":
    main()
