"""The fuzz targets stay runnable: each is imported and fed a few fixed inputs."""

import importlib
from pathlib import Path

import pytest

TARGETS = sorted(path.stem for path in Path(__file__).parent.glob("fuzz_*.py"))


def test_there_are_targets() -> None:
    assert TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_target_takes_any_bytes(name: str) -> None:
    target = importlib.import_module(f"tests.fuzz.{name}")
    for data in (
        b"",
        b"\x00",
        b"\xff" * 64,
        b"REGISTER sip:a SIP/2.0\r\n\r\n",
        b"<?xml?><Notify>",
        b"v=0\r\n",
        bytes(range(256)),
    ):
        target.one_input(data)


@pytest.mark.parametrize("name", TARGETS)
def test_target_begins_from_well_formed_messages(name: str) -> None:
    target = importlib.import_module(f"tests.fuzz.{name}")
    assert target.SEEDS
    for seed in target.SEEDS:
        target.one_input(seed)
