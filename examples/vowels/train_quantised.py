"""Train vowels.onnx on in the engine's arithmetic, and say what that gives at few bits.

Needs what train.py needs, and lstm_sharp; no download is made:

    python train_quantised.py                                # a few minutes on one core
    python train_quantised.py --formats W4A8 --seeds 1

Training data alone are seen, but by the last line of each run, which is of the test split.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch.nn.functional import cross_entropy
from train import disturb, load, standardise

from lstm_sharp.numerics.formats import Format
from lstm_sharp.train import QuantLSTM

HERE = Path(__file__).parent
NOISE, CROP = 0.5, 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--formats", nargs="+", default=["W8A8", "W4A8", "W4A4"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rate", type=float, default=1e-3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    raw, lengths, labels = load("train")
    held = np.load(HERE / "vowels_test.npz")
    x = standardise(raw, lengths, held["mean"], held["std"])
    x, lengths, labels = torch.from_numpy(x), torch.from_numpy(lengths).long(), torch.from_numpy(labels).long()
    test = [torch.from_numpy(held[n]) for n in ("x", "lengths", "labels")]
    calibration = np.concatenate([a[:n] for a, n in zip(held["calib_x"], held["calib_lengths"])])
    init = {i.name: numpy_helper.to_array(i) for i in onnx.load(HERE / "vowels.onnx").graph.initializer}
    w, b = (torch.tensor(init[f"head.{n}"]) for n in ("weight", "bias"))
    import time
    for fmt in args.formats:
        f = Format(*map(int, fmt[1:].split("A")))
        base = None
        for seed in range(args.seeds):
            torch.manual_seed(seed)
            q = QuantLSTM.from_torch(HERE / "vowels.onnx", f, calibration)
            def logits(x, lengths):
                h, _ = q(x, lengths=lengths)
                return h[torch.arange(len(x)), lengths - 1] @ w.T + b
            def acc():
                with torch.no_grad():
                    return int((logits(test[0], test[1].long()).argmax(1) == test[2]).sum())
            if base is None:
                base = acc(); print(fmt, "before", base, base/370, flush=True)
            t = time.time()
            opt = torch.optim.Adam(q.parameters(), args.rate)
            sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, args.epochs)
            for e in range(args.epochs):
                tot = 0
                for batch in torch.randperm(len(x)).split(32):
                    xs, ls = disturb(x[batch], lengths[batch], NOISE, CROP)
                    opt.zero_grad(); loss = cross_entropy(logits(xs, ls), labels[batch]); loss.backward(); opt.step()
                    tot += float(loss.detach())*len(batch)
                sched.step()
            print(fmt, seed, acc(), f"train loss {tot/270:.4f}", f"{time.time()-t:.1f}s", flush=True)


if __name__ == "__main__":
    main()
