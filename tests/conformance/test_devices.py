"""The tester against our own cameras: right ones pass, and each fault fails where it should."""

import asyncio
from dataclasses import replace

import pytest

from commonview.conformance import Report, Verdict
from commonview.simulator import Faults, commit
from commonview.wire.version import GbVersion
from tests.conformance.device_room import PATIENT, Misbehaviour, examined, failed, found

pytestmark = pytest.mark.anyio


async def test_right_cameras_pass_in_both_editions_over_udp_tcp_and_tls(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kinds = [
        (transport, version)
        for transport in ("udp", "tcp", "tls")
        for version in (GbVersion.V2016, GbVersion.V2022)
    ]
    options = replace(PATIENT, allow_destructive=True, firmware=b"firmware" * 1000)
    reports: list[Report] = await asyncio.gather(
        *(examined(transport=transport, version=version, options=options) for transport, version in kinds)
    )
    for report in reports:
        assert not failed(report), [(one.check.id, one.saw.en) for one in report.of(Verdict.FAILED)]
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
        newer = {
            "snapshot.uploaded",
            "snapshot.ids",
            "destructive.upgrade-fetch",
            "destructive.upgrade-result",
        }
        assert newer & passed == (newer if report.edition == "2022" else set())
    assert [report.edition for report in reports] == ["2016", "2022"] * 3
    broken = [
        one.getMessage()
        for one in caplog.records
        if one.name.startswith("commonview.conformance") and one.exc_info
    ]
    assert not broken, "a procedure of the tester failed by itself"


def _named(*names: str) -> Misbehaviour:
    return Misbehaviour(commit(names))


def _settled(**changes: object) -> Misbehaviour:
    return Misbehaviour(settings=tuple(changes.items()))


_ALL_MEDIA = {
    "live.udp.media", "live.tcp-passive.media", "live.tcp-active.media", "live.sub-stream", "live.replaced",
}  # fmt: skip
_DEAF = {
    "query.config", "query.preset", "query.home-position", "query.cruise-list", "query.ptz-position",
    "query.sd-card", "control.record", "control.guard", "control.alarm-reset", "control.home-position",
}  # fmt: skip

FAULTS: dict[str, tuple[Misbehaviour, tuple[str, ...], set[str]]] = {
    "wrong-password": (_named("wrong-password"), ("register",), {"register.digest"}),
    "no-version": (_settled(version=GbVersion.V2016), ("register",), {"register.version"}),
    "short-expiry": (_settled(expires_s=60), ("register",), {"register.expires"}),
    "short-id": (_settled(device_id="340200000013200001"), ("register",), {"register.identity"}),
    "bare-domain-uri": (_named("bare-domain-uri"), ("register",), {"register.request-uri"}),
    "no-keep-alives": (_settled(keepalive_s=3600.0), ("keepalive",), {"keepalive.arrives"}),
    "keepalive-twice": (_named("keepalive-twice"), ("keepalive",), {"keepalive.period"}),
    "utf-8": (_settled(charset="UTF-8"), ("info",), {"xml.charset"}),
    "no-manufacturer": (
        _settled(manufacturer=""),
        ("catalog", "info"),
        {"catalog.item-fields", "info.fields"},
    ),
    "pages-twice": (_named("catalogue-pages-twice"), ("catalog",), {"catalog.sum-num", "catalog.item-ids"}),
    "sum-num-too-large": (_named("sum-num-too-large"), ("catalog",), {"catalog.sum-num"}),
    "status-numbers": (_named("status-numbers"), ("catalog",), {"catalog.item-status"}),
    "answers-late": (
        Misbehaviour(Faults(answer_delay_s=30)),
        ("info",),
        {"info.answered", "status.answered"},
    ),
    "records-missing": (Misbehaviour(Faults(record_items_max=1)), ("record",), {"record.sum-num"}),
    "no-y": (_named("no-y"), ("sdp",), {"sdp.ssrc"}),
    "ssrc-own": (_named("ssrc-own"), ("sdp",), {"sdp.ssrc", "rtp.ssrc"}),
    "ssrc-zero": (_named("ssrc-zero"), ("sdp",), {"rtp.ssrc"}),
    "payload-type-100": (_named("payload-type-100"), ("sdp",), {"rtp.payload-type"}),
    "ts-instead-of-ps": (_named("ts-instead-of-ps"), ("sdp",), {"ps.format", "rtp.timestamp"}),
    "no-psm": (_named("no-psm"), ("ps",), {"ps.map"}),
    "sends-nothing": (Misbehaviour(Faults(send_nothing=True)), ("live",), _ALL_MEDIA),
    "loses-packets": (Misbehaviour(Faults(loss=0.5)), ("sdp",), {"rtp.sequence"}),
    "disorders-packets": (Misbehaviour(Faults(reorder=0.9)), ("sdp",), {"rtp.sequence"}),
    "doubles-packets": (Misbehaviour(Faults(duplicate=0.9)), ("sdp",), {"rtp.sequence"}),
    "stream-after-bye": (_named("stream-after-bye"), ("sdp",), {"live.udp.end"}),
    "dollar-framing": (
        _named("dollar-framing"),
        ("live",),
        {"live.tcp-passive.media", "live.tcp-active.media", "rtp.framing"},
    ),
    "refuses-seek": (Misbehaviour(Faults(refuses_seek=True)), ("record", "playback"), {"playback.seek"}),
    "no-media-status": (_named("no-media-status"), ("record", "download"), {"download.finished"}),
    "no-expires": (_named("no-expires"), ("subscribe",), {"subscribe.expires"}),
    "never-moves": (_named("never-moves"), ("control",), {"control.precise"}),
    "silent": (_named("silent"), ("query", "control"), _DEAF),
    "home-position-misnamed": (_named("home-position-misnamed"), ("query",), {"query.home-position"}),
    "config-blocks-renamed": (_named("config-blocks-renamed"), ("query",), {"query.config"}),
    "snapshot-unfinished": (
        _named("snapshot-unfinished"),
        ("snapshot",),
        {"snapshot.uploaded", "snapshot.finished"},
    ),
    "sum-num-missing": (
        _named("sum-num-missing"),
        ("query",),
        {"query.preset", "query.cruise-list", "query.sd-card"},
    ),
}
"""Fault -> how the camera shows it, which groups are run, which checks fail. All others do not."""

ALSO: dict[str, set[str]] = {
    "refuses-seek": {"playback.finished"},
    "wrong-password": {"register.arrives", "register.digest-fields"},
    "sum-num-missing": {"query.cruise", "catalog.answered", "catalog.sum-num"},
    "sum-num-too-large": {"catalog.num"},
    "ts-instead-of-ps": {"rtp.payload-type", "rtp.ssrc", "ps.key-frames", "control.key-frame"},
    "dollar-framing": {"live.tcp-passive.end", "live.tcp-active.end"},
}
"""What else a fault may take with it, each rightly: one cause, several symptoms."""


async def _trouble_of(name: str, turn: asyncio.Semaphore) -> str:
    """What did not come out as the table says; empty when all did."""
    behaviour, groups, expected = FAULTS[name]
    wait_s = 2.0 if name == "wrong-password" else PATIENT.wait_s
    async with turn:
        report = await examined(
            behaviour=behaviour, only=groups, options=replace(PATIENT, wait_s=wait_s, keepalive_s=4.0)
        )
    wrong = failed(report)
    told = {each.check.id: each.saw.en for each in report.of(Verdict.FAILED)}
    missed, surplus = expected - wrong, wrong - expected - ALSO.get(name, set())
    return (
        f"{name}: not failed {missed or '-'}, failed too {surplus or '-'}: {told}"
        if missed or surplus
        else ""
    )


async def test_each_fault_fails_its_checks_and_no_others() -> None:
    """Most of a run is waiting, so the runs wait together."""
    turn = asyncio.Semaphore(9)
    troubles = await asyncio.gather(*(_trouble_of(name, turn) for name in FAULTS))
    assert len(FAULTS) >= 30
    assert not [trouble for trouble in troubles if trouble]


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
