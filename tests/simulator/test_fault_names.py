"""The catalogue of faults: every name, in both languages, and every trap."""

from __future__ import annotations

from pathlib import Path

import pytest

from commonview.simulator import CATALOGUE, Fault, Faults, UnknownFault, commit, parse_faults
from commonview.simulator.faults import NO_FAULT_OF_ONE_PEER


def test_every_fault_has_one_entry_in_both_languages() -> None:
    assert sorted(entry.fault for entry in CATALOGUE) == sorted(Fault)
    for entry in CATALOGUE:
        assert entry.en
        assert not entry.zh.isascii()
        assert 0 <= entry.trap <= 50


def test_every_trap_is_a_fault_or_is_none_of_one_peer() -> None:
    committed = {entry.trap for entry in CATALOGUE if entry.trap}
    assert committed | set(NO_FAULT_OF_ONE_PEER) == set(range(1, 51))
    assert committed & set(NO_FAULT_OF_ONE_PEER) == set()


def test_unknown_fault_is_named_with_those_that_exist() -> None:
    with pytest.raises(UnknownFault, match=r"no fault 'ssrc-green'.*ssrc-own, ssrc-zero"):
        parse_faults("no-y, ssrc-green")


@pytest.mark.parametrize(
    ("name", "knob", "value"),
    [
        ("media-status-from-elsewhere", "finishes_as", "34020000002009999999"),
        ("no-media-status", "finishes_silently", True),
        ("scale-not-scaled", "timestamps_unscaled", True),
        ("scale-refused", "refuses_unusual_scale", True),
        ("download-short", "download_short_s", 2.0),
        ("records-missing", "record_items_max", 2),
        ("packets-lost", "loss", 0.01),
    ],
)
def test_name_of_a_recorders_fault_turns_its_knob(name: str, knob: str, value: object) -> None:
    assert getattr(commit([name]), knob) == value
    assert getattr(Faults(), knob) != value


def test_every_fault_is_committed_by_a_test() -> None:
    tests = Path(__file__).parent.parent
    told = "".join(path.read_text("utf-8") for path in tests.rglob("test_*.py"))
    assert [fault.value for fault in Fault if f'"{fault.value}"' not in told] == []


def test_faults_are_committed_together() -> None:
    faults = parse_faults("no-y,never-moves,answers-error")
    assert faults.omit_ssrc
    assert len(faults.controls) == 2
    assert Fault.NEVER_MOVES in faults.named
