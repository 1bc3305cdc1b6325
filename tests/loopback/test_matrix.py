"""Loopback conformance: every message, in both editions, over every transport, in every charset."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from commonview.wire.manscdp import Command, ConfigType, DragZoom, device_control, registered, registry
from commonview.wire.version import GbVersion
from tests.loopback import below, scenes_below, scenes_upward, upward
from tests.loopback.below import Outcome
from tests.loopback.table import ROWS, WAYS, Row, Way

pytestmark = pytest.mark.timeout(600)  # eighteen peers at once, also on a machine ten times slower

COMMANDS: Final[dict[str, type[Command]]] = {
    **device_control._FLAT,
    **device_control._BLOCKS,
    **dict.fromkeys(device_control._ZOOMS, DragZoom),
}


def parts(cmd_type: str) -> set[str]:
    return {row.part for row in ROWS if row.cmd_type == cmd_type and row.part}


def test_table_is_the_registry() -> None:
    """A CmdType, a command or a block that is added to the wire is missed here, and in the documentation."""
    assert {(row.root, row.cmd_type) for row in ROWS} == registered()
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert parts("DeviceControl") == set(COMMANDS) - {"IFameCmd"}  # another spelling, trap 50
    assert parts("DeviceConfig") == {one.value for one in ConfigType}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row_begins_with_the_edition_of_its_message(row: Row) -> None:
    since = [registry._REGISTRY[row.root, row.cmd_type].since, GbVersion.V2016]
    if row.part in COMMANDS:
        since.append(COMMANDS[row.part].since)
    elif row.part:
        since.append(ConfigType(row.part).since)
    assert row.since is max(since)


def test_every_row_has_a_scene() -> None:
    shown_below = {name for scene in scenes_below.SCENES for name in scene.covers}
    shown_upward = {name for scene in scenes_upward.SCENES for name in scene.covers}
    assert shown_below == {row.name for row in ROWS}
    assert shown_upward == {row.name for row in ROWS if row.goes_up}


@pytest.fixture(scope="module")
def below_us(tmp_path_factory: pytest.TempPathFactory) -> dict[Way, Outcome]:
    """Our superior over our simulator: played once, all ways side by side."""
    return asyncio.run(below.play(tmp_path_factory.mktemp("below")))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_superior_and_simulator_exchange_every_message(below_us: dict[Way, Outcome], way: Way) -> None:
    outcome = below_us[way]
    assert outcome.troubles == {}
    assert outcome.missing(way) == []
    assert outcome.too_new(way) == []
    assert outcome.astray(way) == []


@pytest.fixture(scope="module")
def above_us(tmp_path_factory: pytest.TempPathFactory) -> dict[Way, Outcome]:
    """Our subordinate under our superior, with a simulated camera below."""
    return asyncio.run(upward.play(tmp_path_factory.mktemp("above")))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_superior_and_subordinate_exchange_every_message(above_us: dict[Way, Outcome], way: Way) -> None:
    outcome = above_us[way]
    assert outcome.troubles == {}
    assert outcome.missing(way, (row for row in ROWS if row.goes_up)) == []
    assert [row.name for row in ROWS if not row.goes_up and outcome.passed(row)] == []
    assert outcome.too_new(way) == []
    assert outcome.astray(way) == []
