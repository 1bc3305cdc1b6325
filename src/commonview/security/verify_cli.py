"""`commonview verify audit`: the checker's report in plain words.

Exit codes: 0 everything is as it was signed, 1 something was changed, 2 the check could not be made.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from commonview.security.checkpoint import CheckpointError, LogKey
from commonview.security.tiles import CHECKPOINT_FILE, KEY_FILE
from commonview.security.verify import Book, VerifyReport, verify_audit

INTACT: Final = 0
DAMAGED: Final = 1
NOT_CHECKED: Final = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `commonview verify audit` understands."""
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        help="folder of the audit log, or a copy of it (default: <data-dir>/audit); the database is compared "
        "when it lies beside the folder",
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=Path("data"),
        help="data directory of the installation; its database is compared too: the log, the grants and the "
        "access records (default: %(default)s)",
    )
    parser.add_argument(
        "--key",
        help="the public key as it was noted at installation: the line in log.vkey, or a file that holds it",
    )
    parser.add_argument(
        "--previous",
        type=Path,
        metavar="FILE",
        help="an older checkpoint that was kept elsewhere: the log must only have added to it",
    )
    parser.add_argument("--no-database", action="store_true", help="check the files only")


def run(args: argparse.Namespace, books: Sequence[Callable[[], Book]] = ()) -> int:
    """Check and print; returns the exit code. ``books`` are those of other rooms."""
    folder = args.folder or args.data_dir / "audit"
    if not (folder / CHECKPOINT_FILE).exists() and not (folder / KEY_FILE).exists():
        _error(f"{folder} holds no audit log: name its folder, or the data directory with --data-dir")
        return NOT_CHECKED
    try:
        key = None if args.key is None else _key(args.key)
        previous = None if args.previous is None else args.previous.read_bytes()
    except (OSError, CheckpointError) as error:
        _error(str(error))
        return NOT_CHECKED
    # `data/audit` by name is the installation's own folder as well: its database lies beside it.
    database = folder.absolute().parent / "commonview.sqlite"  # not where a link leads
    use_database = not args.no_database and database.exists()
    report = verify_audit(
        folder,
        public_key=key,
        previous=previous,
        database=database if use_database else None,
        books=books,
    )
    sys.stdout.write("\n".join(lines_of(report)) + "\n")
    return INTACT if report.ok else DAMAGED


def lines_of(report: VerifyReport) -> list[str]:
    """The report as a person reads it."""
    signed = "never" if report.signed_at is None else f"{report.signed_at:%Y-%m-%d %H:%M:%S} UTC"
    lines = [
        f"Audit log   {report.folder}",
        f"Name        {report.key_name or 'unknown'}",
        f"Signed      {report.size} entries, {signed}",
        f"Root        {report.root.hex()}",
        f"Checked     {report.files_checked} files{_database_checked(report)}",
    ]
    if report.unsigned_entries:
        lines.append(f"Not signed  {report.unsigned_entries} newer entries wait for the next checkpoint")
    if not report.database_checked:
        lines.append(
            "Note        grants and access records were not compared: no database lies beside the log"
        )
    if not report.key_given:
        lines.append(
            "Note        the public key comes from the same folder; give the one you noted with --key"
        )
    if not report.previous_checked:
        lines.append("Note        keep the checkpoint file elsewhere and give it with --previous next time")
    lines.append("")
    if report.ok:
        lines.append("INTACT: every entry is what was signed, none is missing, none was moved.")
        if report.database_checked:
            lines.append("Every grant and every access record agrees with its entries, and none is missing.")
        if report.chains_checked:
            lines.append("Every chain of recordings reaches as far as the log says.")
        return lines
    count = len(report.findings) + report.findings_not_listed
    lines.append(f"DAMAGED: {count} finding{'s' if count > 1 else ''}")
    for finding in report.findings:
        entry = "" if finding.sequence is None else f" [entry {finding.sequence}]"
        lines.append(f"  {finding.kind.value}{entry} {finding.file}: {finding.message}")
    if report.findings_not_listed:
        lines.append(f"  and {report.findings_not_listed} more")
    return lines


def _database_checked(report: VerifyReport) -> str:
    if not report.database_checked:
        return ""
    chains = f", {report.chains_checked} chains of recordings" if report.chains_checked else ""
    return f", the database, {report.rows_checked} grants and access records{chains}"


def _key(text: str) -> LogKey:
    path = Path(text)
    return LogKey.parse((path.read_text() if path.is_file() else text).strip())


def _error(message: str) -> None:
    sys.stderr.write(f"commonview verify audit: {message}\n")
