"""LSTM-Sharp: LSTM inference on FPGAs, from a trained model to a running board."""

__version__ = "0.1.0"
