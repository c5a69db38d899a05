"""`python -m saccade`, for torchrun, and where the `saccade` script is not on the path."""

import sys

from saccade.cli import main

sys.exit(main())
