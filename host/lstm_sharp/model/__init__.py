"""The float model, and the readers that make one from the file of a trained network."""

from lstm_sharp.model.load import load
from lstm_sharp.model.model import Layer, Model

__all__ = ["Layer", "Model", "load"]
