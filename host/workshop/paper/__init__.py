"""What docs/paper/ shows: the paper's tables and figures, redone from code (``make paper``)."""
