"""`commonview explain FILE.pcap`."""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

from commonview.explain import (
    LANGUAGES,
    Canvas,
    CaptureUnreadable,
    Report,
    Words,
    capture_document,
    read_capture,
    tell,
)

_WIDEST = 140
_NARROWEST = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file, and how to show it."""
    parser.description = (
        "Tell the story of a capture: every registration, query and media session in it, what failed, why,\n"
        "and what to check next. Reads pcap and pcapng of any GB/T 28181 platform; finds SIP on any port.\n"
        "Passwords and tokens are never shown. Exit status 0, also when faults are found; 2 when the file\n"
        "cannot be read."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="capture file (.pcap or .pcapng)")
    parser.add_argument("--device", metavar="ID", help="only this device, by its 20-digit id")
    parser.add_argument("--json", action="store_true", help="for machines: one JSON document")
    parser.add_argument("--bodies", action="store_true", help="show whole messages, redacted")
    parser.add_argument(
        "--language", choices=sorted(LANGUAGES), help="en or zh (default: that of the environment)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the story of the capture."""
    words = Words(arguments.language or _language())
    try:
        reading = read_capture(arguments.file)
    except CaptureUnreadable as error:
        print(f"commonview: {error.message}", file=sys.stderr)  # noqa: T201 - the command line speaks
        return 2
    story = tell(reading.recording)
    if arguments.json:
        document = capture_document(reading, story, words, arguments.device)
        print(json.dumps(document, ensure_ascii=False, indent=2))  # noqa: T201 - the command line speaks
        return 0
    page = Report(words, _canvas(), ascii_only=not _draws(), bodies=arguments.bodies)
    text = page.capture(arguments.file.name, reading, story, arguments.device)
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    return 0


def _language() -> str:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def _draws() -> bool:
    """Whether the terminal shows line characters."""
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith(("utf", "gb18030"))


def _canvas() -> Canvas:
    columns = shutil.get_terminal_size((100, 24)).columns
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return Canvas(min(_WIDEST, max(_NARROWEST, columns)), colours)
