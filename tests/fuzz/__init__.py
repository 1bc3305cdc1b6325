"""Fuzz targets of the Python parsers: each module offers `one_input(data: bytes)`, which must never raise."""
