"""The folder of overlays as pynq finds it: the path of what the entry point names is searched."""

from lstm_sharp import paths

__path__ = [str(paths.overlays())]
