"""Commonview (共视): an open, accountable network of public cameras."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("commonview")
except PackageNotFoundError:  # running from a source tree that was never installed
    __version__ = "0.0.0"
