"""`python -m commonview.cli`."""

import sys

from commonview.cli import main

sys.exit(main())
