"""Float models for tests."""

from __future__ import annotations

import numpy as np

from lstm_sharp.model import Layer, Model


def pytorch_like(seed: int, sizes: list[int]) -> Model:
    """Make a stack as torch.nn.LSTM initialises it: U(-1/sqrt(H), 1/sqrt(H)) everywhere."""
    rng = np.random.default_rng(seed)
    layers = []
    for x_size, h_size in zip(sizes, sizes[1:]):
        k = h_size**-0.5

        def draw(*shape: int, k: float = k) -> np.ndarray:
            return rng.uniform(-k, k, shape)

        layers.append(
            Layer(
                draw(4 * h_size, x_size),
                draw(4 * h_size, h_size),
                draw(4 * h_size) + draw(4 * h_size),
            )
        )
    return Model(tuple(layers))


def torch_names(model: Model) -> dict[str, np.ndarray]:
    """Name the tensors of a model as torch.nn.LSTM does."""
    named = {}
    for index, layer in enumerate(model.layers):
        named[f"weight_ih_l{index}"] = layer.w_ih.astype(np.float32)
        named[f"weight_hh_l{index}"] = layer.w_hh.astype(np.float32)
        named[f"bias_ih_l{index}"] = layer.b.astype(np.float32)
        named[f"bias_hh_l{index}"] = np.zeros_like(named[f"bias_ih_l{index}"])
    return named
