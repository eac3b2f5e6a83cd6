"""Search for an engine of one's own: arrays and formats held against a model and a board."""
