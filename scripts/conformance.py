"""Write docs/conformance.md, and the traps of docs/simulator.md, from docs/conformance.toml and the tests.

python scripts/conformance.py           write the pages
python scripts/conformance.py --check   exit 1 when one is not what it would be now
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from commonview.wire.version import GbVersion

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCE: Final = ROOT / "docs" / "conformance.toml"
PAGE: Final = ROOT / "docs" / "conformance.md"
SIMULATOR: Final = ROOT / "docs" / "simulator.md"
_TABLE_BEGINS: Final = "<!-- made by scripts/conformance.py -->\n"
_TABLE_ENDS: Final = "<!-- until here -->\n"
MATRIX: Final = ROOT / "docs" / "interop-matrix.md"
sys.path.insert(0, str(ROOT))
_RUST_TRAP: Final = re.compile(r"//+ ?trap (\d+)\b[^\n]*\n(?:\s*#\[[^\n]*\n)*\s*(?:pub )?fn (\w+)")


def trap_tests() -> dict[int, list[str]]:
    """Trap number -> ``file::function`` of every test that carries it."""
    found: dict[int, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name, numbers in _marked(ast.parse(path.read_text("utf-8"))):
            for number in numbers:
                found[number].append(f"{path.relative_to(ROOT)}::{name}")
    for path in sorted((ROOT / "crates").rglob("*.rs")):
        if "target" not in path.parts:
            for number, name in _RUST_TRAP.findall(path.read_text("utf-8")):
                found[int(number)].append(f"{path.relative_to(ROOT)}::{name}")
    return dict(found)


def _marked(tree: ast.Module) -> Iterator[tuple[str, list[int]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            numbers = [number for each in node.decorator_list for number in _numbers(each)]
            if numbers:
                yield node.name, numbers


def _numbers(decorator: ast.expr) -> Iterator[int]:
    if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("mark.trap"):
        for argument in decorator.args:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, int):
                yield argument.value


def test_exists(node: str) -> bool:
    """Whether ``file::function`` names a test that is there."""
    name, _, function = node.partition("::")
    path = ROOT / name
    if not path.is_file():
        return False
    return re.search(rf"\b(?:def|class|fn) {re.escape(function)}\b", path.read_text("utf-8")) is not None


def faults(source: dict[str, Any], tests: dict[int, list[str]]) -> list[str]:
    """What is wrong with the table: rows without proof or reason, names of tests that are gone."""
    wrong = []
    known = {trap["number"] for trap in source["trap"]}
    for trap in source["trap"]:
        proven, excused = bool(tests.get(trap["number"])), bool(trap.get("why_not"))
        if proven == excused:
            what = "has tests and a why_not" if proven else "has neither a test nor a why_not"
            wrong.append(f"trap {trap['number']} {what}")
    wrong += [
        f"a test carries trap {number}, which is not in the table" for number in tests if number not in known
    ]
    for row in source.get("row", ()):
        named = row.get("tests", [])
        if bool(named) == bool(row.get("why_not")):
            wrong.append(f"row {row['id']} needs tests or a why_not, one of them")
        wrong += [f"row {row['id']}: no test {node}" for node in named if not test_exists(node)]
    return wrong


def page(source: dict[str, Any], tests: dict[int, list[str]]) -> str:
    """The page as it should be."""
    lines = [
        "# Conformance",
        "",
        "Made by `scripts/conformance.py` from `docs/conformance.toml` and the tests that carry its numbers.",
        "",
        "## The protocol surface",
        "",
        "GB/T 28181-2022 with the differences of 2016. A row names its tests, or says why it is not done.",
        "",
        "| Clause | What | Shown by |",
        "| --- | --- | --- |",
    ]
    lines += [
        f"| {row['clause']} | {row['title']} | {_shown(row.get('tests', []), row)} |"
        for row in source.get("row", ())
    ]
    lines += [
        "",
        "## Behaviour met in the field",
        "",
        "Each is a fault our simulator or a scripted peer commits in a test.",
        "",
    ]
    lines += ["| No. | Behaviour | Where it was seen | Shown by |", "| --- | --- | --- | --- |"]
    for trap in source["trap"]:
        shown = _shown(tests.get(trap["number"], []), trap)
        lines.append(f"| {trap['number']} | {_cell(trap['title'])} | {_cell(trap['seen'])} | {shown} |")
    lines += ["", *loopback()]
    if MATRIX.is_file():
        lines += ["", MATRIX.read_text("utf-8").strip()]
    return "\n".join(lines) + "\n"


def loopback() -> list[str]:
    """What passes between our own two ends; tests/loopback holds this table to the registry and plays it."""
    from tests.loopback.table import ROWS, WAYS

    def ways(part: str) -> str:
        return ", ".join(dict.fromkeys(str(getattr(way, part)).upper() for way in WAYS))

    rows = [
        f"| `{row.root}` | `{row.cmd_type}` | {f'`{row.part}`' if row.part else ''} "
        f"| {'superior' if row.from_above else 'subordinate'} "
        f"| {'2016, 2022' if row.since <= GbVersion.V2016 else '2022'} | {row.upward.value} |"
        for row in ROWS
    ]
    return [
        "## Our own two ends",
        "",
        "`tests/loopback/test_matrix.py` plays every row twice: between our superior and our simulator, and",
        "between our superior and our subordinate with a camera below it. Each time by real sockets, in each",
        f"edition that has it, over {ways('transport')}, in {ways('charset')}: {len(WAYS)} ways.",
        "A message counts when it went the way that was agreed and had its effect; a peer of 2016 is sent",
        "nothing of 2022. The last column is what our subordinate makes of it.",
        "",
        "| Root | CmdType | Part | From | Editions | Upward |",
        "| --- | --- | --- | --- | --- | --- |",
        *rows,
    ]


def simulator_page(source: dict[str, Any], tests: dict[int, list[str]]) -> str:
    """docs/simulator.md with its table of the traps as it should be."""
    from commonview.simulator.faults import CATALOGUE, NO_FAULT_OF_ONE_PEER

    lines = ["| No. | Behaviour | Fault |", "| --- | --- | --- |"]
    for trap in source["trap"]:
        number = trap["number"]
        names = ", ".join(f"`{one.fault.value}`" for one in CATALOGUE if one.trap == number)
        if number in NO_FAULT_OF_ONE_PEER:
            what = NO_FAULT_OF_ONE_PEER[number][0]
            names = f"none: {what}; shown by `{tests.get(number, ['no test'])[0]}`"
        lines.append(f"| {number} | {_cell(trap['title'])} | {names} |")
    lines += [
        f"| | plain misfortune | {', '.join(f'`{one.fault.value}`' for one in CATALOGUE if not one.trap)} |"
    ]
    head, _, rest = SIMULATOR.read_text("utf-8").partition(_TABLE_BEGINS)
    return head + _TABLE_BEGINS + "\n".join(lines) + "\n" + _TABLE_ENDS + rest.partition(_TABLE_ENDS)[2]


def _shown(nodes: list[str], row: dict[str, Any]) -> str:
    if not nodes:
        return f"**not done**: {_cell(row.get('why_not', 'no test'))}"
    return "<br>".join(f"`{node}`" for node in nodes[:4]) + (
        f"<br>and {len(nodes) - 4} more" if len(nodes) > 4 else ""
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def main() -> int:
    """Write or check the page; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    source = tomllib.loads(SOURCE.read_text("utf-8"))
    tests = trap_tests()
    wrong = faults(source, tests)
    for fault in wrong:
        print(f"docs/conformance.toml: {fault}", file=sys.stderr)
    for path, text in ((PAGE, page(source, tests)), (SIMULATOR, simulator_page(source, tests))):
        if not check:
            path.write_text(text, "utf-8")
        elif path.read_text("utf-8") != text:
            print(f"{path.relative_to(ROOT)} is not up to date: run scripts/conformance.py", file=sys.stderr)
            return 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
