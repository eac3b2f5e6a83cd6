"""Train vowels.onnx on in the engine's arithmetic, and say what that gives at few bits.

Needs what train.py needs, and lstm_sharp; no download is made:

    pip install torch==2.14.1 aeon==1.6.0 onnx
    python train_quantised.py                          # under ten minutes on a core
    python train_quantised.py --formats W4A8 --seeds 1
    python train_quantised.py --model small --out small  # of another folder that train.py wrote

The LSTM learns to answer as the float model does, on training data disturbed as train.py does it;
the head stays as it is. How fast it learns is chosen on a fifth of the training data, by how near
it comes to the float model there; it then learns from all of them. The test split is only counted
on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch.nn.functional import cross_entropy, kl_div
from train import disturb, load, standardise

from lstm_sharp.train import QuantLSTM

FORMATS = ["W8A8", "W4A8", "W4A4", "W2A2"]
RATES = (1e-4, 1e-3)
NOISE, CROP = 0.5, 0.3  # of disturb(), which train.py chose


class Speakers(torch.nn.Module):
    """x (batch, time, 12) and lengths to the logarithms of the nine speakers' probabilities."""

    def __init__(self, folder: Path, fmt: str) -> None:
        super().__init__()
        held = np.load(folder / "vowels_test.npz")
        typical = [x[:n] for x, n in zip(held["calib_x"], held["calib_lengths"])]
        self.lstm = QuantLSTM.from_torch(folder / "vowels.onnx", fmt, np.concatenate(typical))
        graph = onnx.load(folder / "vowels.onnx").graph
        tensors = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
        self.weight, self.bias = (torch.tensor(tensors[f"head.{n}"]) for n in ("weight", "bias"))

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Take the h of each utterance's last step."""
        h, _ = self.lstm(x, lengths=lengths)
        last = h[torch.arange(len(x)), lengths - 1]
        return (last @ self.weight.T + self.bias).log_softmax(1)


def fit(model: Speakers, teacher: Speakers, x, lengths, rate: float, epochs: int) -> Speakers:
    """Train towards the answers of the teacher."""
    optimiser = torch.optim.Adam(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(32):
            loss = distance(model, teacher, *disturb(x[batch], lengths[batch], NOISE, CROP))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
    return model


def distance(model: Speakers, teacher: Speakers, *given: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence from the teacher's answers, mean over the utterances."""
    with torch.no_grad():
        target = teacher(*given)
    return kl_div(model(*given), target, reduction="batchmean", log_target=True)


@torch.no_grad()
def score(model: Speakers, x, lengths, labels) -> dict[str, float]:
    """Number of right answers, and mean cross-entropy."""
    found = model(x, lengths)
    right = int((found.argmax(1) == labels).sum())
    return {"right": right, "loss": round(float(cross_entropy(found, labels)), 4)}


def main() -> None:
    """Choose, train, test, write."""
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=here, help="folder with vowels.onnx")
    parser.add_argument("--out", type=Path, default=here, help="output folder")
    parser.add_argument("--formats", nargs="+", default=FORMATS)
    parser.add_argument("--keep", nargs="*", default=["W8A8", "W4A8"], help="formats to write")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(1)

    held = np.load(args.model / "vowels_test.npz")
    raw, own_lengths, _ = load("train")
    x = torch.from_numpy(standardise(raw, own_lengths, held["mean"], held["std"]))
    lengths = torch.from_numpy(own_lengths).long()
    test = [
        torch.from_numpy(held["x"]),
        *(torch.tensor(held[n]).long() for n in ("lengths", "labels")),
    ]
    teacher = Speakers(args.model, "W16A16")  # whose h is within 1e-4 of float
    found = {"of": len(test[0]), "W16A16": score(teacher, *test), "formats": {}}
    print(f"W16A16: {found['W16A16']}")
    kept = torch.arange(len(x)) % 5 == 4
    torch.manual_seed(0)
    other = disturb(x[kept], lengths[kept], NOISE, CROP)
    for fmt in args.formats:
        told = found["formats"][fmt] = {"quantised": score(Speakers(args.model, fmt), *test)}
        tried = {}
        for rate in RATES:
            torch.manual_seed(0)
            model = Speakers(args.model, fmt)
            fit(model, teacher, x[~kept], lengths[~kept], rate, args.epochs)
            with torch.no_grad():
                tried[rate] = float(distance(model, teacher, *other))
        told["rate"] = min(tried, key=tried.get)
        print(f"{fmt}: quantised {told['quantised']}, rate {told['rate']:g} of {tried}")
        told["trained"] = []
        for seed in range(args.seeds):
            torch.manual_seed(seed)
            model = fit(Speakers(args.model, fmt), teacher, x, lengths, told["rate"], args.epochs)
            told["trained"].append(score(model, *test))
            print(f"{fmt}: seed {seed} {told['trained'][-1]}", flush=True)
            if seed == 0 and fmt in args.keep:
                file = args.out / f"vowels_{fmt.lower()}.npz"
                model.lstm.save(file)
                with np.load(file) as arrays:
                    tensors = dict(arrays)
                np.savez_compressed(file, **tensors)
    (args.out / "trained.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
