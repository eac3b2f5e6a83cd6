"""``python -m workshop.checker``."""

import sys

from workshop.checker import main

sys.exit(main())
