"""Benchmarks: each module prints figures beside a floor measured in the same run. `python -m bench [NAME ...]`."""
