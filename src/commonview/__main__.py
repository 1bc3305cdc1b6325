"""`python -m commonview`."""

import sys

from commonview.cli import main

sys.exit(main())
