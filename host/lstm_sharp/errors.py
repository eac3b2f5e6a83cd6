"""The one exception that stands for bad input."""


class UsageError(ValueError):
    """Something the user gave cannot be used.

    The text is one sentence with the numbers and the remedy; the command line prints it and
    exits with status 2, the Python interface raises it.
    """
