"""The tester against our own cameras: right ones pass, and each fault fails where it should."""

import asyncio
from dataclasses import replace

import pytest

from commonview.conformance import Report, Verdict
from commonview.simulator import ControlFault, Faults
from commonview.wire.version import GbVersion
from tests.conformance.device_room import PATIENT, Misbehaviour, examined, failed, found

pytestmark = pytest.mark.anyio

# What the simulated camera does not have: it refuses subscriptions, and has no speaker.
NOT_THERE = {
    "subscribe.catalog",
    "subscribe.alarm",
    "subscribe.position",
    "subscribe.ptz-position",
    "voice.broadcast",
}


async def test_right_cameras_pass_in_both_editions_and_over_udp_and_tcp() -> None:
    kinds = [
        (transport, version) for transport in ("udp", "tcp") for version in (GbVersion.V2016, GbVersion.V2022)
    ]
    options = replace(PATIENT, allow_destructive=True)
    reports: list[Report] = await asyncio.gather(
        *(examined(transport=transport, version=version, options=options) for transport, version in kinds)
    )
    for report in reports:
        assert failed(report) <= NOT_THERE, [(one.check.id, one.saw.en) for one in report.of(Verdict.FAILED)]
        passed = {each.check.id for each in report.of(Verdict.PASSED)}
        assert {
            "register.digest",
            "catalog.item-fields",
            "live.udp.media",
            "live.tcp-passive.media",
        } <= passed
        assert {"live.tcp-active.media", "ps.map", "playback.finished", "download.finished"} <= passed
        assert {"config.basic-param", "control.record", "destructive.reboot", "keepalive.period"} <= passed
        assert report.peer.manufacturer == "Commonview"
    assert [report.edition for report in reports] == ["2016", "2022", "2016", "2022"]


FAULTS: dict[str, tuple[Misbehaviour, tuple[str, ...], set[str]]] = {
    "wrong-password": (Misbehaviour(Faults(wrong_password=True)), ("register",), {"register.digest"}),
    "no-version": (
        Misbehaviour(settings=(("version", GbVersion.V2016),)),
        ("register",),
        {"register.version"},
    ),
    "short-expiry": (Misbehaviour(settings=(("expires_s", 60),)), ("register",), {"register.expires"}),
    "short-id": (
        Misbehaviour(settings=(("device_id", "340200000013200001"),)),
        ("register",),
        {"register.identity"},
    ),
    "no-keep-alives": (
        Misbehaviour(settings=(("keepalive_s", 3600.0),)),
        ("keepalive",),
        {"keepalive.arrives"},
    ),
    "utf-8": (Misbehaviour(settings=(("charset", "UTF-8"),)), ("info",), {"xml.charset"}),
    "no-manufacturer": (
        Misbehaviour(settings=(("manufacturer", ""),)),
        ("catalog", "info"),
        {"catalog.item-fields", "info.fields"},
    ),
    "pages-twice": (
        Misbehaviour(Faults(pages_twice=True)),
        ("catalog",),
        {"catalog.sum-num", "catalog.item-ids"},
    ),
    "answers-late": (
        Misbehaviour(Faults(answer_delay_s=30)),
        ("info",),
        {"info.answered", "status.answered"},
    ),
    "records-cut": (Misbehaviour(Faults(record_items_max=1)), ("record",), {"record.sum-num"}),
    "ssrc-omitted": (Misbehaviour(Faults(omit_ssrc=True)), ("sdp",), {"sdp.ssrc"}),
    "ssrc-of-its-own": (Misbehaviour(Faults(answered_ssrc=77)), ("sdp",), {"sdp.ssrc"}),
    "ssrc-not-as-told": (Misbehaviour(Faults(sent_ssrc=0)), ("rtp",), {"rtp.ssrc"}),
    "stream-map-omitted": (Misbehaviour(Faults(omit_stream_map=True)), ("ps",), {"ps.map"}),
    "sends-nothing": (Misbehaviour(Faults(send_nothing=True)), ("rtp",), {"live.udp.media"}),
    "loses-packets": (Misbehaviour(Faults(loss=0.5)), ("rtp",), {"rtp.sequence"}),
    "disorders-packets": (Misbehaviour(Faults(reorder=0.9)), ("rtp",), {"rtp.sequence"}),
    "doubles-packets": (Misbehaviour(Faults(duplicate=0.9)), ("rtp",), {"rtp.sequence"}),
    "refuses-seek": (Misbehaviour(Faults(refuses_seek=True)), ("record", "playback"), {"playback.seek"}),
    "finishes-silently": (
        Misbehaviour(Faults(finishes_silently=True)),
        ("record", "download"),
        {"download.finished"},
    ),
    "never-moves": (
        Misbehaviour(control=frozenset({ControlFault.NEVER_MOVES})),
        ("control",),
        {"control.precise"},
    ),
    "control-silent": (
        Misbehaviour(control=frozenset({ControlFault.SILENT})),
        ("query", "control", "config"),
        {"query.config", "query.preset", "query.sd-card", "control.record", "control.guard"},
    ),
    "home-position-misnamed": (
        Misbehaviour(control=frozenset({ControlFault.HOME_POSITION_MISNAMED})),
        ("query",),
        {"query.home-position"},
    ),
    "blocks-renamed": (
        Misbehaviour(control=frozenset({ControlFault.BLOCKS_RENAMED})),
        ("query",),
        {"query.config"},
    ),
    "lists-without-sum-num": (
        Misbehaviour(control=frozenset({ControlFault.LISTS_WITHOUT_SUM_NUM})),
        ("query",),
        {"query.preset", "query.cruise-list", "query.sd-card"},
    ),
}
"""Fault -> how the camera shows it, which groups are run, which checks must fail. All others must not."""

ALSO = {
    # A voice that is not there fails more than one thing, each of them rightly.
    "wrong-password": set[str](),
    "short-id": {"xml.head"},
    "sends-nothing": {"live.tcp-passive.media", "live.tcp-active.media", "live.sub-stream", "live.replaced"},
    "loses-packets": {"rtp.timestamp"},
    "control-silent": {
        "query.home-position", "query.cruise-list", "query.ptz-position",
        "control.home-position", "control.alarm-reset",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
async def test_each_fault_fails_its_checks_and_no_others(name: str) -> None:
    behaviour, groups, expected = FAULTS[name]
    options = replace(PATIENT, wait_s=2.0 if name == "wrong-password" else PATIENT.wait_s, keepalive_s=2.0)
    report = await examined(behaviour=behaviour, only=groups, options=options)
    if name == "wrong-password":
        expected = expected | {"register.arrives"} & failed(report)
    wrong = failed(report)
    told = {each.check.id: each.saw.en for each in report.of(Verdict.FAILED)}
    assert expected <= wrong, told
    assert wrong <= expected | ALSO.get(name, set()), told


async def test_camera_on_udp_fails_a_test_of_tcp() -> None:
    report = await examined(transport="tcp", camera_transport="udp", only=("register",))
    assert failed(report) == {"register.transport"}
    assert not report.conforms


async def test_nothing_is_moved_or_changed_without_leave() -> None:
    options = replace(PATIENT, allow_control=False, allow_config=False)
    report = await examined(only=("control", "config", "destructive", "voice"), options=options)
    for check_id in ("control.ptz", "config.osd", "destructive.reboot", "voice.broadcast"):
        assert found(report, check_id).verdict is Verdict.SKIPPED
    sent = [each.text for each in report.messages if not each.received]
    assert not any("<Control>" in text or "<CmdType>Broadcast" in text for text in sent)


async def test_evidence_has_no_password_and_no_proof() -> None:
    report = await examined(only=("register",))
    text = "\n".join(each.text for each in report.messages)
    assert "Authorization: Digest" in text
    assert 'response="***"' in text
    assert "correct horse" not in text
    proof = found(report, "register.digest")
    assert proof.messages
    assert "REGISTER" in report.messages[proof.messages[-1]].text
