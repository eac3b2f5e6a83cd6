"""Sessions: a model on an engine, through one backend."""
