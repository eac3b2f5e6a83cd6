"""``python -m lstm_sharp``: the command line."""

import sys

from lstm_sharp.cli import main

sys.exit(main())
