"""Number formats, quantisation and the golden model: the one definition of the arithmetic."""
