"""Subscriptions to a device, and its notifications (GB/T 28181-2022 9.11, Annex N)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from commonview.conformance.bench import DeviceBench
from commonview.network.sip_endpoint import ServerTransaction, SipEndpointError
from commonview.wire import manscdp
from commonview.wire.manscdp import (
    AlarmQuery,
    CatalogQuery,
    Message,
    MobilePosition,
    MobilePositionQuery,
    PtzPositionQuery,
)
from commonview.wire.sip.dialog import Dialog
from commonview.wire.sip.message import SipRequest, SipResponse
from commonview.wire.sip.subscription import read_expires
from commonview.wire.version import GbVersion

_PERIOD_S: Final = 600
_INTERVAL_S: Final = 2
_NOTIFY_S: Final = 8.0


@dataclass(slots=True)
class _Subscription:
    """What came of one SUBSCRIBE."""

    response: SipResponse | None
    dialog: Dialog | None = None
    call_id: str = ""

    @property
    def ok(self) -> bool:
        return self.response is not None and 200 <= self.response.status < 300

    @property
    def shown(self) -> str:
        return "-" if self.response is None else str(self.response.status)


async def subscriptions(bench: DeviceBench) -> None:
    """One after the other, each refreshed and ended."""
    sn, device, channel = bench.station.next_sn, bench.station.device_id, bench.channel
    subjects: list[tuple[str, str, Message]] = [
        ("subscribe.catalog", "Catalog", CatalogQuery(sn=sn(), device_id=device)),
        (
            "subscribe.alarm",
            "presence",
            AlarmQuery(
                sn=sn(), device_id=device, start_alarm_priority="0", end_alarm_priority="0", alarm_method="0"
            ),
        ),
        (
            "subscribe.position",
            "presence",
            MobilePositionQuery(sn=sn(), device_id=device, interval_s=_INTERVAL_S),
        ),
    ]
    if bench.version >= GbVersion.V2022:
        subjects.append(("subscribe.ptz-position", "presence", PtzPositionQuery(sn=sn(), device_id=channel)))
    for number, (check_id, event, query) in enumerate(subjects, 1):
        await _one(bench, check_id, f"{event};id={number}", query)


async def _one(bench: DeviceBench, check_id: str, event: str, query: Message) -> None:
    book, station = bench.book, bench.station
    made = await _subscribe(bench, event, query)
    book.judge(check_id, made.ok, made.shown, made.shown)
    if not made.ok or made.response is None:
        return
    try:
        told = made.response.headers.get("Expires")
        shown = told or "absent"
        book.judge(
            "subscribe.expires", bool(read_expires(told)), f"Expires {shown}", f"Expires {told or '缺失'}"
        )
        if check_id == "subscribe.position":
            began = station.journal.now()
            came = await station.until(
                lambda: any(each.at_s >= began for each in bench.heard_of(MobilePosition)), _NOTIFY_S
            )
            if came:
                book.judge("subscribe.position-notify", True, "a position came", "收到位置通知")
            else:
                book.observe(
                    "subscribe.position-notify",
                    f"none within {_NOTIFY_S:g} s; the device may not know where it is",
                    f"{_NOTIFY_S:g} 秒内没有通知; 设备可能没有位置信息",
                )
        for which, seconds in (("subscribe.refresh", _PERIOD_S), ("subscribe.end", 0)):
            again = await _again(bench, made, event, query, seconds)
            book.judge(which, again is not None and 200 <= again.status < 300, _status(again), _status(again))
    finally:
        station.endpoint.dialogs.forget(made.call_id)


def _status(response: SipResponse | None) -> str:
    return "-" if response is None else str(response.status)


async def _subscribe(bench: DeviceBench, event: str, query: Message) -> _Subscription:
    station = bench.station
    headers = station.headers(query.device_id)
    call_id = station.endpoint.new_token()
    headers.add("Call-ID", call_id)
    headers.add("Contact", station.endpoint.contact(station.settings.server_id, station.flow))
    headers.add("Event", event)
    headers.add("Expires", str(_PERIOD_S))
    headers.add("Content-Type", manscdp.CONTENT_TYPE)
    body = manscdp.encode(query, bench.version.charset, bench.version)
    request = SipRequest("SUBSCRIBE", station.target_uri(query.device_id), headers, body)

    def notified(transaction: ServerTransaction) -> bool:
        if transaction.request.method != "NOTIFY":
            return False
        station.take_notify(transaction)
        return True

    station.endpoint.dialogs.expect(call_id, notified)
    try:
        response, dialog = await station.endpoint.subscribe(request, station.flow, timeout_s=8.0)
    except SipEndpointError:
        return _Subscription(None, None, call_id)
    if dialog is not None:
        station.endpoint.dialogs.own(dialog, notified)
    return _Subscription(response, dialog, call_id)


async def _again(
    bench: DeviceBench, made: _Subscription, event: str, query: Message, seconds: int
) -> SipResponse | None:
    """Refresh, or with 0 end, inside the dialog."""
    if made.dialog is None or made.dialog.ended:
        return None
    body = manscdp.encode(query, bench.version.charset, bench.version)
    headers = (
        ("Event", event),
        ("Expires", str(seconds)),
        ("Content-Type", manscdp.CONTENT_TYPE),
    )
    request = made.dialog.new_request("SUBSCRIBE", headers, body)
    try:
        response, _ = await bench.station.endpoint.subscribe(request, bench.station.flow, timeout_s=8.0)
    except SipEndpointError:
        return None
    return response
