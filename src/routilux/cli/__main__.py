"""`python -m routilux.cli` is `routilux`."""

import sys

from routilux.cli import main

sys.exit(main())
