"""`commonview doctor`: proves that disks of recordings and index agree; mends what a crash left."""

import argparse
import sys
from pathlib import Path

from commonview.foundation.settings import load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the installation is, and what may be done."""
    parser.description = (
        "Reads every segment and every row: disk against index, index against disk, chain by chain.\n"
        "Exit status: 0 all is well, 1 something is not, and every such thing was named."
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings by name")
    parser.add_argument("--data-dir", help="the data directory of the installation")
    parser.add_argument(
        "--mend",
        action="store_true",
        help="finish and index what a crash left, and complete deletions; the server must not run",
    )
    parser.add_argument("--fast", action="store_true", help="compare lengths instead of reading every byte")


def run(arguments: argparse.Namespace) -> int:
    """Examine, tell as it goes, sum up."""
    given = {} if arguments.data_dir is None else {"data_dir": arguments.data_dir}
    settings = load_settings(given, config=arguments.config)
    from commonview.foundation.database import Database
    from commonview.foundation.datadir import DataDirectory
    from commonview.foundation.errors import StartupError
    from commonview.recording import Doctor

    data = DataDirectory(settings.data_dir)
    if not data.database.exists():
        raise StartupError(f"there is no installation in {data.root}", code="data_dir_unusable")
    if arguments.mend:
        data.lock()
    database = Database.at(data.database)
    try:
        report = Doctor(
            database, mend=arguments.mend, hashes=not arguments.fast, tell=lambda finding: _say(str(finding))
        ).examine()
    finally:
        database.close()
        data.unlock()
    _say(
        f"{report.tracks} tracks, {report.segments} segments and {report.deleted} deleted ones, "
        f"{report.files} files of {report.bytes:,} bytes"
    )
    found = ", ".join(f"{count} {kind}" for kind, count in sorted(report.counts().items()))
    _say("all is well" if not report.findings else f"found: {found}")
    return 0 if report.healthy else 1


def _say(line: str) -> None:
    print(line, file=sys.stdout)  # noqa: T201 - the command line speaks
