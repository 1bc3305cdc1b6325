"""`commonview verify audit`, with the chains of recordings held against the log as well."""

import argparse

from commonview.security import verify_cli


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of the checker."""
    verify_cli.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check and print; returns the exit code."""
    from commonview.recording import HeadsBook

    return verify_cli.run(arguments, [HeadsBook])
