"""Benchmarks: each module prints figures beside a floor of the same run. `python -m bench [NAME ...]`."""
