"""Fuzz targets of the Python parsers: `one_input(data: bytes)` must never raise; SEEDS are where to begin."""
