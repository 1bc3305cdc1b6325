"""What both commands share: flags, the progress bar, the summary, and where the report goes."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import os
import shutil
import signal
import socket
import sys
import time
import unicodedata
from datetime import datetime
from pathlib import Path
from typing import Final

from commonview.conformance.errors import ConformanceError
from commonview.conformance.model import Level, Report, Text, Verdict
from commonview.conformance.report_html import page
from commonview.conformance.report_json import document
from commonview.wire.version import GbVersion

PASSWORD_VARIABLE: Final = "COMMONVIEW_DEVICE_PASSWORD"  # noqa: S105 - the variable's name
_EDITIONS: Final = {"2016": GbVersion.V2016, "2022": GbVersion.V2022}
_BAR: Final = 24
USAGE: Final = 2


def add_shared_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of both commands."""
    parser.add_argument("--edition", choices=sorted(_EDITIONS), default="2022", help="(%(default)s)")
    parser.add_argument(
        "--transport", choices=("udp", "tcp", "tls"), default="udp", help="of the signalling (%(default)s)"
    )
    parser.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        help=f"file holding the registration password (else {PASSWORD_VARIABLE})",
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="PATH",
        help="write PATH.html and PATH.json (default: conformance-ROLE-TIME here)",
    )
    parser.add_argument(
        "--language", choices=("en", "zh-CN"), default=default_language(), help="of terminal and report"
    )
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="with --transport tls (PEM)")
    parser.add_argument("--key", type=Path, metavar="FILE", help="the key of the certificate (PEM)")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="authority that signed the other end's (PEM)")


def edition_of(arguments: argparse.Namespace) -> GbVersion:
    """The edition chosen."""
    return _EDITIONS[arguments.edition]


def default_language() -> str:
    """That of the environment."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return "zh-CN" if value.lower().startswith("zh") else "en"
    return "en"


def read_password(file: Path | None) -> str | None:
    """The password of a file or of the environment, None when there is none. Raises `ConformanceError`."""
    if file is None:
        return os.environ.get(PASSWORD_VARIABLE) or None
    try:
        password = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConformanceError(f"cannot read the password file {file}: {error}") from error
    if not password:
        raise ConformanceError(f"the password file {file} is empty")
    return password


def numeric_address(text: str, flag: str, *, any_port: bool = False) -> tuple[str, int]:
    """HOST:PORT with the host resolved. Raises `ConformanceError`."""
    host, colon, port = text.rpartition(":")
    host = host.strip("[]")
    lowest = 0 if any_port else 1
    if not colon or not host or not port.isdigit() or not lowest <= int(port) < 65536:
        raise ConformanceError(f"{flag} {text!r} is not HOST:PORT")
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_DGRAM)
    except OSError as error:
        raise ConformanceError(f"cannot resolve {host!r}: {error.strerror or error}") from error
    return str(ipaddress.ip_address(str(found[0][4][0]))), int(port)


def own_address(host: str, port: int) -> str:
    """The address this machine would use towards another; nothing is sent. Raises `ConformanceError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, port or 9))
        except OSError as error:
            raise ConformanceError(f"no route to {host}: {error.strerror or error}") from error
        return str(probe.getsockname()[0])


class Terminal:
    """Tells a person at the terminal what goes on; in a pipe a line for each step."""

    def __init__(self, language: str) -> None:
        self._chinese = language.lower().startswith("zh")
        self._live = sys.stdout.isatty()
        self._began = time.monotonic()
        self._drawing: asyncio.Task[None] | None = None
        self._state = (0, 1, Text("", ""))

    def say(self, en: str, zh: str) -> None:
        """One line."""
        self._clear()
        print(zh if self._chinese else en, flush=True)  # noqa: T201 - the command line speaks

    def progress(self, done: int, of: int, now: Text) -> None:
        """How far the run is."""
        self._state = (done, of, now)
        if not self._live:
            self.say(f"[{done}/{of}] {now.en}", f"[{done}/{of}] {now.zh}")
            return
        if self._drawing is None:
            self._drawing = asyncio.ensure_future(self._redraw())
        self._draw()

    async def _redraw(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._draw()

    def _draw(self) -> None:
        done, of, now = self._state
        filled = _BAR * done // max(1, of)
        seconds = int(time.monotonic() - self._began)
        bar = "█" * filled + "░" * (_BAR - filled)
        text = f"{bar} {done}/{of}  {seconds // 60}:{seconds % 60:02d}  {now.zh if self._chinese else now.en}"
        width = shutil.get_terminal_size((100, 24)).columns - 1
        sys.stdout.write("\r\x1b[2K" + _cut(text, width))
        sys.stdout.flush()

    def _clear(self) -> None:
        if self._live:
            sys.stdout.write("\r\x1b[2K")

    def stop(self) -> None:
        """No more drawing."""
        if self._drawing is not None:
            self._drawing.cancel()
            self._drawing = None
        self._clear()

    def summary(self, report: Report, paths: tuple[Path, ...]) -> None:
        """What failed, the numbers, and where the report is."""
        for finding in report.of(Verdict.FAILED):
            level = finding.check.level_in(report.version)
            name, title, saw = finding.check.id, finding.check.title, finding.saw
            self.say(
                f"FAILED ({level.value}) {name}: {title.en}\n    {saw.en}",
                f"未通过 ({'应' if level is Level.SHALL else '宜'}) {name}: {title.zh}\n    {saw.zh}",
            )
        counts = {each: len(report.of(each)) for each in Verdict}
        self.say(
            f"{counts[Verdict.PASSED]} passed, {counts[Verdict.FAILED]} failed, "
            f"{counts[Verdict.SKIPPED]} skipped, {counts[Verdict.OBSERVED]} observed"
            f"{' (stopped early)' if report.interrupted else ''}",
            f"通过 {counts[Verdict.PASSED]}, 未通过 {counts[Verdict.FAILED]}, "
            f"未测 {counts[Verdict.SKIPPED]}, 观察 {counts[Verdict.OBSERVED]}"
            f"{' (提前中止)' if report.interrupted else ''}",
        )
        for path in paths:
            self.say(f"report: {path}", f"报告: {path}")


def _cut(text: str, columns: int) -> str:
    """The beginning of a text that fits; Chinese characters take two columns."""
    used = 0
    for at, mark in enumerate(text):
        used += 2 if unicodedata.east_asian_width(mark) in "WF" else 1
        if used > columns:
            return text[:at]
    return text


def report_paths(arguments: argparse.Namespace, role: str) -> tuple[Path, Path]:
    """Where HTML and JSON go. Raises `ConformanceError` when there is no such folder."""
    base: Path = arguments.report or Path(f"conformance-{role}-{datetime.now().astimezone():%Y%m%d-%H%M%S}")
    if base.suffix.lower() in (".html", ".json"):
        base = base.with_suffix("")
    if not base.parent.is_dir():
        raise ConformanceError(f"--report: there is no folder {base.parent}")
    return base.with_name(base.name + ".html"), base.with_name(base.name + ".json")


def write_report(report: Report, paths: tuple[Path, Path], language: str) -> None:
    """Both files. Raises `ConformanceError`."""
    html, data = paths
    try:
        html.write_text(page(report, language), encoding="utf-8")
        data.write_text(json.dumps(document(report), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConformanceError(f"cannot write the report: {error}") from error


def stop_on_signal() -> asyncio.Event:
    """Set by the first Ctrl-C or SIGTERM; a second Ctrl-C ends the program as usual."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def halt(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, halt, number)
    return stop


def status_of(report: Report) -> int:
    """The exit status: 0 when everything that shall be held, 1 otherwise and for a run that was stopped."""
    return 0 if report.conforms and not report.interrupted else 1


def complain(error: ConformanceError) -> int:
    """Say what was misused; the exit status for it."""
    print(f"commonview: {error.message}", file=sys.stderr)  # noqa: T201 - the command line speaks
    return USAGE


def seconds(text: str) -> float:
    """A flag's number of seconds up to a day."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds between 0 and 86400")
    return value
