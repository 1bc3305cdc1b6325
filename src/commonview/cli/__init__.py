"""The command line: `commonview serve | devices | doctor | simulate | conformance | explain | verify ...`.

Nothing heavy is imported before it is known which command runs.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from commonview import __version__
from commonview.foundation.errors import CommonviewError

# name: what it is, then the module that knows it. The module has add_arguments(parser) and run(arguments).
COMMANDS: Final = {
    ("serve",): ("run the server", "commonview.cli.serve"),
    ("simulate", "cameras"): ("simulated GB/T 28181 cameras", "commonview.simulator.cli"),
    ("simulate", "platform"): ("a simulated lower platform", "commonview.simulator.platform_cli"),
    ("simulate", "superior"): ("a simulated upper platform", "commonview.simulator.superior_cli"),
    ("simulate", "onvif"): ("a simulated ONVIF camera", "commonview.simulator.onvif"),
    ("conformance", "device"): ("put a foreign device to the test", "commonview.conformance.device_command"),
    ("conformance", "platform"): (
        "put a foreign platform to the test",
        "commonview.conformance.platform_command",
    ),
    ("explain",): ("tell what happened in a capture file, and why", "commonview.cli.explain"),
    ("devices", "list"): ("known devices, and those that wait for approval", "commonview.cli.devices"),
    ("devices", "add"): ("make a device known before it comes", "commonview.cli.devices"),
    ("devices", "approve"): ("let a waiting device in", "commonview.cli.devices"),
    ("devices", "refuse"): ("turn a waiting device away", "commonview.cli.devices"),
    ("devices", "ban"): ("turn devices away by id, address, network or User-Agent", "commonview.cli.devices"),
    ("devices", "password"): ("give a device a new password of its own", "commonview.cli.devices"),
    ("verify", "audit"): ("check an audit log offline", "commonview.cli.verify"),
    ("doctor",): ("examine the recordings, and mend what a crash left", "commonview.cli.doctor"),
    ("setup-link",): ("show the one-time link for the first accounts", "commonview.cli.setup_link"),
}

_GROUPS: Final = {
    "conformance": "put a foreign device or platform to the test, clause by clause",
    "devices": "see and decide who may join a running server",
    "simulate": "run simulated devices and platforms",
    "verify": "check records offline",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 failed with a plain sentence, 2 misused."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser(words)
    parsed = parser.parse_args(words)
    if not hasattr(parsed, "run"):
        parser.print_help()
        return 2
    try:
        status: int | None = parsed.run(parsed)
    except CommonviewError as error:
        print(f"commonview: {error.message}", file=sys.stderr)  # noqa: T201 - the command line speaks
        return 1
    except KeyboardInterrupt:
        return 130
    return status or 0


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="commonview", description="Open, accountable networking of public cameras."
    )
    parser.add_argument("--version", action="version", version=f"commonview {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND")
    groups: dict[str, argparse._SubParsersAction[argparse.ArgumentParser]] = {}
    for path, (summary, module_name) in COMMANDS.items():
        parent = commands
        if len(path) == 2:
            group = path[0]
            if group not in groups:
                group_parser = commands.add_parser(group, help=_GROUPS[group], description=_GROUPS[group])
                groups[group] = group_parser.add_subparsers(metavar="WHAT", required=True)
            parent = groups[group]
        command = parent.add_parser(
            path[-1], help=summary, formatter_class=argparse.RawTextHelpFormatter, allow_abbrev=False
        )
        if tuple(words[: len(path)]) == path:
            module = import_module(module_name)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser
