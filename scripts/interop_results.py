"""What the tests of `make interop` showed, stack by stack, from pytest's JUnit files."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

ROOT: Final = Path(__file__).resolve().parent.parent
VERSIONS: Final = ROOT / "build" / "peers" / "versions"

_TSHARK: Final = "Wireshark's tshark (C)"
_FFMPEG: Final = "FFmpeg (C)"
_READER: Final = "reader of what we send"

# Module -> what stands there, as which part, and how its version is known.
STACKS: Final = {
    "test_sipp_device": ("SIPp", "device", "sipp"),
    "test_sipp_subscription": ("SIPp", "device, superior", "sipp"),
    "test_rust_device": ("gb28181-rs (Rust)", "device", "rust-device"),
    "test_rust_commands": ("gb28181-rs (Rust)", "device", "rust-device"),
    "test_camera_simulator": ("gb28181-camera-simulator (Python)", "device", "camera-simulator"),
    "test_java_peers": ("JAIN-SIP, gb28181-client (Java)", "device", "java"),
    "test_java_device": ("JAIN-SIP, gb28181-client (Java)", "device", "java"),
    "test_java_platform": ("JAIN-SIP, gb28181-client (Java)", "superior", "java"),
    "test_gb_cms": ("gb-cms on gosip (Go)", "superior", "gb-cms"),
    "test_go_rtsp_servers": ("gortsplib (Go)", "RTSP server", "go-rtsp"),
    "test_rtsp_server": ("gst-rtsp-server (C)", "RTSP server", "gst-rtsp-server"),
    "test_source_live": ("gst-rtsp-server (C)", "RTSP server", "gst-rtsp-server"),
    "test_onvif_camera": ("ipycam (Python)", "ONVIF camera", "ipycam"),
    "test_tshark": (_TSHARK, _READER, "tshark"),
    "test_stories": (_TSHARK, _READER, "tshark"),
    "test_fleet": (_FFMPEG, _READER, "ffmpeg"),
    "test_ps": (_FFMPEG, _READER, "ffmpeg"),
    "test_files": (_FFMPEG, _READER, "ffmpeg"),
    "test_viewing": (_FFMPEG, _READER, "ffmpeg"),
}
# Where the way a test was run names another stack than its module.
_WAYS: Final = {
    "mediamtx": ("MediaMTX (Go)", "RTSP server", "mediamtx"),
    "go2rtc": ("go2rtc (Go)", "RTSP server", "go2rtc"),
}
_COMMANDS: Final = {
    "sipp": (("sipp", "-v"), r"SIPp v([0-9.]+)"),
    "ffmpeg": (("ffmpeg", "-version"), r"version ([0-9][0-9.]*)"),
    "tshark": (("tshark", "--version"), r"([0-9]+\.[0-9]+\.[0-9]+)"),
    "gst-rtsp-server": (("dpkg-query", "-W", "-f=${Version}", "gir1.2-gst-rtsp-server-1.0"), r"([0-9.]+)"),
}


@dataclass
class Shown:
    """One test: the ways it was run, and what came of each."""

    ways: list[str] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def version(key: str) -> str:
    """The version of a stack as it was built or is installed; empty when neither."""
    if key in _COMMANDS:
        command, pattern = _COMMANDS[key]
        if shutil.which(command[0]) is None:
            return ""
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
        found = re.search(pattern, done.stdout + done.stderr)
        return found[1] if found else ""
    lines = VERSIONS.read_text("utf-8").splitlines() if VERSIONS.is_file() else []
    return dict(line.split(" ", 1) for line in lines).get(key, "")


def _stack(module: str, test: str, way: str) -> tuple[str, str, str]:
    stack = _WAYS.get(way.split("-")[0], STACKS[module])
    if module == "test_gb_cms" and "subordinate" in test:
        return stack[0], "subordinate", stack[2]
    return stack


def _outcome(case: ElementTree.Element) -> tuple[str, str]:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed", ""
    skipped = case.find("skipped")
    return ("passed", "") if skipped is None else ("skipped", skipped.get("message") or "")


def _cases(files: Sequence[Path]) -> dict[tuple[str, str], tuple[str, str]]:
    """(module, name) -> outcome and reason; a later file is a second try."""
    cases: dict[tuple[str, str], tuple[str, str]] = {}
    for path in files:
        for case in ElementTree.parse(path).iter("testcase"):  # noqa: S314 - pytest wrote it a moment ago
            key = (case.get("classname") or "").rpartition(".")[2], case.get("name") or ""
            outcome, reason = _outcome(case)
            if cases.get(key, ("", ""))[0] == "failed" and outcome == "passed":
                outcome = "passed at the second try"
            cases[key] = outcome, reason
    return cases


def section(files: Sequence[Path], day: str) -> str:
    """The table of everything that ran, and why what was skipped was."""
    shown: dict[tuple[tuple[str, str, str], str], Shown] = defaultdict(Shown)
    reasons: set[str] = set()
    for (module, name), (outcome, reason) in _cases(files).items():
        test, _, way = name.rstrip("]").partition("[")
        if module not in STACKS:
            continue
        one = shown[_stack(module, test, way), test]
        one.outcomes[outcome] += 1
        one.ways += [way] if way else []
        reasons |= {reason} if reason else set()
    lines = [
        "## Foreign stacks in our tests",
        "",
        f"Made from the run of `make interop` on {day}: what happened with each stack, and in which ways.",
        "",
        "| Stack | As | What was shown | Ways | Outcome |",
        "| --- | --- | --- | --- | --- |",
    ]
    order = list(dict.fromkeys(name for name, _, _ in [*STACKS.values(), *_WAYS.values()]))
    for (stack, test), one in sorted(shown.items(), key=lambda item: order.index(item[0][0][0])):
        name, part, key = stack
        said = test.removeprefix("test_").replace("_", " ")
        outcome = ", ".join(f"{count} {word}" for word, count in sorted(one.outcomes.items()))
        ways = "; ".join(one.ways) or "one"
        lines.append(f"| {f'{name} {version(key)}'.strip()} | {part} | {said} | {ways} | {outcome} |")
    if reasons:
        lines += ["", "Skipped in this run, because:", "", *(f"- {reason}" for reason in sorted(reasons))]
    return "\n".join(lines) + "\n"
