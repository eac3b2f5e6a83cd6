"""Train the demo's speaker classifier and write vowels.onnx and vowels_test.npz.

Needs torch, aeon (which ships the data), onnx and numpy; no download is made:

    pip install torch==2.13.0 aeon==1.6.0 onnx
    python train.py                    # writes into this folder, under two minutes
    python train.py --out vowels  # or elsewhere

The model is a stack of two nn.LSTM layers of 64 units and a linear head on the last step's h.
How strongly the training data is disturbed is chosen on a fifth of the training split; the
model is then trained on the whole training split and the test split is read once, at the end.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from aeon.datasets import load_japanese_vowels
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pack_padded_sequence

STEPS, FEATURES, SPEAKERS = 29, 12, 9
CALIBRATION = 32  # training utterances kept for choosing number formats
SETTINGS = ((0.5, 0.3), (0.5, 0.6), (1.0, 0.3), (1.0, 0.6))  # (noise, crop), see disturb()


class Classifier(nn.Module):
    """x (batch, time, 12) to logits (batch, 9)."""

    def __init__(self, hidden: int, layers: int, dropout: float = 0.3) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(FEATURES, hidden, layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, SPEAKERS)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Without lengths every sequence fills the whole of x; so the model is exported."""
        if lengths is None:
            last = self.lstm(x)[0][:, -1]
        else:
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            last = self.lstm(packed)[1][0][-1]
        return self.head(self.dropout(last))


def load(split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Raw features (n, 29, 12) padded with zeros, lengths (n,), labels (n,) from 0."""
    series, speakers = load_japanese_vowels(split=split)
    lengths = np.array([one.shape[1] for one in series], dtype=np.int32)
    x = np.zeros((len(series), STEPS, FEATURES))
    for row, one in zip(x, series):
        row[: one.shape[1]] = one.T
    return x, lengths, speakers.astype(np.int32) - 1


def standardise(x: np.ndarray, lengths: np.ndarray, mean: np.ndarray, std: np.ndarray):
    """(x - mean) / std on the valid steps, zero on the padding, as float32."""
    valid = np.arange(STEPS) < lengths[:, None]
    return np.where(valid[..., None], (x - mean) / std, 0.0).astype(np.float32)


def disturb(x: torch.Tensor, lengths: torch.Tensor, noise: float, crop: float):
    """Cut up to the share `crop` off both ends together, then add Gaussian noise."""
    cut = (torch.rand(len(x)) * lengths * crop).long()
    start = (torch.rand(len(x)) * (cut + 1)).long()
    index = (start[:, None] + torch.arange(STEPS)).clamp(max=STEPS - 1)
    x = x.gather(1, index[..., None].expand(-1, -1, FEATURES))
    return x + noise * torch.randn_like(x), lengths - cut


def fit(x, lengths, labels, args, noise: float, crop: float) -> Classifier:
    """Train one model from scratch."""
    torch.manual_seed(args.seed)
    model = Classifier(args.hidden, args.layers)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, args.epochs)
    for _ in range(args.epochs):
        for batch in torch.randperm(len(x)).split(32):
            inputs = disturb(x[batch], lengths[batch], noise, crop)
            optimiser.zero_grad()
            cross_entropy(model(*inputs), labels[batch]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def score(model: Classifier, x, lengths, labels) -> tuple[int, float]:
    """Number of right answers and mean loss."""
    logits = model(x, lengths)
    return int((logits.argmax(1) == labels).sum()), float(cross_entropy(logits, labels))


def main() -> None:
    """Choose, train, test, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="output folder")
    parser.add_argument("--hidden", type=int, default=64, help="units of each LSTM layer")
    parser.add_argument("--layers", type=int, default=2, help="LSTM layers")
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)  # sums in one order, so a run can be repeated

    raw, lengths, labels = load("train")
    frames = raw[np.arange(STEPS) < lengths[:, None]]
    mean, std = frames.mean(0), frames.std(0)
    x = standardise(raw, lengths, mean, std)
    train = (torch.from_numpy(x), torch.from_numpy(lengths).long(), torch.from_numpy(labels).long())

    held = torch.arange(len(x)) % 5 == 4  # 6 of the 30 utterances of every speaker
    losses = {}
    for setting in SETTINGS:
        model = fit(*(part[~held] for part in train), args, *setting)
        right, losses[setting] = score(model, *(part[held] for part in train))
        print(
            f"noise {setting[0]} crop {setting[1]}: validation loss {losses[setting]:.4f}, "
            f"{right} of {int(held.sum())} right"
        )
    best = min(losses, key=losses.get)
    model = fit(*train, args, *best)
    print(f"trained on all {len(x)} utterances with noise {best[0]}, crop {best[1]}")

    test_raw, test_lengths, test_labels = load("test")
    test_x = standardise(test_raw, test_lengths, mean, std)
    test = (test_x, test_lengths, test_labels.astype(np.int64))
    right, _ = score(model, *(torch.from_numpy(part) for part in test))
    print(f"test accuracy {right / len(test_x):.4f} ({right} of {len(test_x)})")

    args.out.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        model,
        (torch.zeros(2, 10, FEATURES),),
        args.out / "vowels.onnx",
        dynamo=False,
        opset_version=17,
        input_names=["x"],
        output_names=["logits"],
        dynamic_axes={"x": {0: "batch", 1: "time"}, "logits": {0: "batch"}},
    )
    some = np.linspace(0, len(x) - 1, CALIBRATION).astype(int)  # all speakers
    np.savez_compressed(
        args.out / "vowels_test.npz",
        x=test_x,
        lengths=test_lengths,
        labels=test_labels,
        mean=mean.astype(np.float32),
        std=std.astype(np.float32),
        class_names=np.array([f"speaker {n + 1}" for n in range(SPEAKERS)]),
        calib_x=x[some],
        calib_lengths=lengths[some],
    )


if __name__ == "__main__":
    main()
