"""What docs/architecture.md says of the house, held against the house."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src"
MAP = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("```")[1]


def modules() -> dict[str, Path]:
    found = {}
    for path in SOURCES.rglob("*.py"):
        parts = path.relative_to(SOURCES).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(node: ast.AST) -> Iterator[str]:
    """What the loading of a module imports; not what only its types or its functions name."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if (
            isinstance(child, ast.If)
            and isinstance(child.test, ast.Name)
            and child.test.id == "TYPE_CHECKING"
        ):
            continue
        if isinstance(child, ast.Import):
            yield from (name.name for name in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
            yield child.module
            yield from (f"{child.module}.{name.name}" for name in child.names)
        else:
            yield from imported(child)


def needed(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """The modules that must be loaded before. A module of its own package does not need the front door."""
    found = {one for one in imported(ast.parse(path.read_text(encoding="utf-8"))) if one in known}
    return {one for one in found if one != name and not name.startswith(f"{one}.")}


def test_no_two_modules_need_each_other_to_be_loaded() -> None:
    known = modules()
    assert len(known) > 300
    sorter = TopologicalSorter({name: needed(name, path, known) for name, path in known.items()})
    try:
        sorter.prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None


def test_every_room_stands_on_the_map() -> None:
    rooms = {path.parent for path in (SOURCES / "commonview").glob("*/__init__.py")}
    rooms |= {path.parent for path in (SOURCES / "commonview" / "network").glob("*/__init__.py")}
    missing = {room.name for room in rooms if f"{room.name}/" not in MAP}
    assert missing == set()


def test_everything_on_the_map_stands() -> None:
    inside = MAP[MAP.index("  network/") : MAP.index("  api/")]
    columns = re.findall(r"^ {4}(\S.*?) {2,}", inside, re.MULTILINE)
    names = [name.removesuffix("/").removesuffix(".py") for column in columns for name in column.split(", ")]
    network = SOURCES / "commonview" / "network"
    assert len(names) > 20
    assert [name for name in names if not [*network.glob(name), *network.glob(f"{name}.py")]] == []
