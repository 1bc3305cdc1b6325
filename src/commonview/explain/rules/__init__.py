"""The patterns behind the table in `commonview.explain.causes`, by what they look at."""
