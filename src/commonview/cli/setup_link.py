"""`commonview setup-link`."""

import argparse
from pathlib import Path

from commonview.foundation.datadir import DataDirectory
from commonview.foundation.errors import StartupError
from commonview.foundation.settings import load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Only where the data lies."""
    parser.description = "Show the one-time link with which the first accounts are made."
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    parser.add_argument("--data-dir", metavar="FOLDER", help="data directory of the server (default: data)")


def run(arguments: argparse.Namespace) -> int:
    """Print the link that the running server is waiting for.

    Raises:
        StartupError: there is none: the accounts exist already, or the server has not been started yet.
    """
    settings = load_settings({"data_dir": arguments.data_dir}, config=arguments.config)
    directory = DataDirectory(settings.data_dir)
    try:
        link = directory.setup_link.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise StartupError(
            f"there is no set-up link in {directory.root}: either the first accounts exist already, "
            "or the server has not been started on this directory yet"
        ) from None
    except OSError as error:
        raise StartupError(f"cannot read {directory.setup_link}: {error.strerror}") from None
    print(link)  # noqa: T201 - the command line speaks
    return 0
