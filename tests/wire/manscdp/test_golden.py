"""Golden bytes: what each message looks like on the wire, and that it is read back the same."""

import pytest

from commonview.wire.manscdp import (
    AlarmInputStatus,
    Catalog,
    CatalogItem,
    CatalogQuery,
    DeviceInfo,
    DeviceInfoQuery,
    DeviceStatus,
    DeviceStatusQuery,
    Keepalive,
    ManscdpError,
    ManscdpFault,
    MediaStatus,
    Message,
    decode,
    encode,
    registered,
)
from commonview.wire.version import GbVersion
from tests.wire.manscdp.golden_config import CONFIG_GOLDEN
from tests.wire.manscdp.golden_control import CONTROL_GOLDEN
from tests.wire.manscdp.golden_others import OTHERS_GOLDEN
from tests.wire.manscdp.golden_text import CHANNEL, DEVICE, Golden, document, head

GOLDEN: list[tuple[Message, bytes]] = [
    (
        Keepalive(sn=17, device_id=DEVICE),
        document("Notify", *head("Keepalive"), "<Status>OK</Status>"),
    ),
    (
        Keepalive(sn=17, device_id=DEVICE, status="ERROR", faulty_ids=(CHANNEL, "34020000001310000002")),
        document(
            "Notify",
            *head("Keepalive"),
            "<Status>ERROR</Status>",
            "<Info>",
            f"<DeviceID>{CHANNEL}</DeviceID>",
            "<DeviceID>34020000001310000002</DeviceID>",
            "</Info>",
        ),
    ),
    (
        MediaStatus(sn=17, device_id=DEVICE),
        document("Notify", *head("MediaStatus"), "<NotifyType>121</NotifyType>"),
    ),
    (CatalogQuery(sn=17, device_id=DEVICE), document("Query", *head("Catalog"))),
    (
        CatalogQuery(
            sn=17, device_id=DEVICE, start_time="2026-11-01T00:00:00", end_time="2026-11-02T00:00:00"
        ),
        document(
            "Query",
            *head("Catalog"),
            "<StartTime>2026-11-01T00:00:00</StartTime>",
            "<EndTime>2026-11-02T00:00:00</EndTime>",
        ),
    ),
    (
        Catalog(sn=17, device_id=DEVICE, sum_num=0),
        document("Response", *head("Catalog"), "<SumNum>0</SumNum>"),
    ),
    (
        Catalog(
            sn=17,
            device_id=DEVICE,
            sum_num=2,
            items=(
                CatalogItem(
                    device_id=CHANNEL,
                    name="东门 & East <1>",
                    manufacturer="Commonview",
                    civil_code="340200",
                    parental=False,
                    parent_ids=(DEVICE, "34020000002160000001"),
                    register_way=1,
                    secrecy=0,
                    status="ON",
                    longitude=118.37,
                    latitude=31.32,
                ),
            ),
        ),
        document(
            "Response",
            *head("Catalog"),
            "<SumNum>2</SumNum>",
            '<DeviceList Num="1">',
            "<Item>",
            f"<DeviceID>{CHANNEL}</DeviceID>",
            "<Name>东门 &amp; East &lt;1&gt;</Name>",
            "<Manufacturer>Commonview</Manufacturer>",
            "<CivilCode>340200</CivilCode>",
            "<Parental>0</Parental>",
            f"<ParentID>{DEVICE}/34020000002160000001</ParentID>",
            "<RegisterWay>1</RegisterWay>",
            "<Secrecy>0</Secrecy>",
            "<Status>ON</Status>",
            "<Longitude>118.37</Longitude>",
            "<Latitude>31.32</Latitude>",
            "</Item>",
            "</DeviceList>",
        ),
    ),
    (DeviceInfoQuery(sn=17, device_id=DEVICE), document("Query", *head("DeviceInfo"))),
    (
        DeviceInfo(sn=17, device_id=DEVICE, device_name="岗亭", model="X", firmware="1.0", channel=4),
        document(
            "Response",
            *head("DeviceInfo"),
            "<DeviceName>岗亭</DeviceName>",
            "<Result>OK</Result>",
            "<Model>X</Model>",
            "<Firmware>1.0</Firmware>",
            "<Channel>4</Channel>",
        ),
    ),
    (DeviceStatusQuery(sn=17, device_id=DEVICE), document("Query", *head("DeviceStatus"))),
    (
        DeviceStatus(
            sn=17,
            device_id=DEVICE,
            encode="ON",
            device_time="2026-11-22T10:00:00",
            alarm_inputs=(AlarmInputStatus("34020000001340000001", "ONDUTY"),),
        ),
        document(
            "Response",
            *head("DeviceStatus"),
            "<Result>OK</Result>",
            "<Online>ONLINE</Online>",
            "<Status>OK</Status>",
            "<Encode>ON</Encode>",
            "<DeviceTime>2026-11-22T10:00:00</DeviceTime>",
            '<Alarmstatus Num="1">',
            "<Item>",
            "<DeviceID>34020000001340000001</DeviceID>",
            "<DutyStatus>ONDUTY</DutyStatus>",
            "</Item>",
            "</Alarmstatus>",
        ),
    ),
]


@pytest.mark.parametrize(("message", "wire"), GOLDEN, ids=lambda each: getattr(each, "cmd_type", "bytes"))
def test_message_is_written_as_the_golden_bytes(message: Message, wire: bytes) -> None:
    assert encode(message) == wire


@pytest.mark.parametrize(("message", "wire"), GOLDEN, ids=lambda each: getattr(each, "cmd_type", "bytes"))
def test_golden_bytes_are_read_as_the_message(message: Message, wire: bytes) -> None:
    assert decode(wire, "Application/MANSCDP+xml") == message


BY_EDITION: list[Golden] = [*CONTROL_GOLDEN, *CONFIG_GOLDEN, *OTHERS_GOLDEN]


def name_of(golden: Golden) -> str:
    message, version, _ = golden
    inside = getattr(message, "command", None) or (getattr(message, "blocks", None) or [None])[0]
    return f"{message.root}-{message.cmd_type}-{type(inside).__name__ if inside else ''}-{version.header}"


@pytest.mark.parametrize("golden", BY_EDITION, ids=name_of)
def test_message_is_written_for_its_edition_as_the_golden_bytes(golden: Golden) -> None:
    message, version, wire = golden
    assert encode(message, version.charset, version).decode("gb18030") == wire.decode("gb18030")


@pytest.mark.parametrize("golden", BY_EDITION, ids=name_of)
def test_golden_bytes_of_an_edition_are_read_as_the_message(golden: Golden) -> None:
    message, _, wire = golden
    assert decode(wire, "Application/MANSCDP+xml") == message


@pytest.mark.parametrize("charset", ["GB2312", "GBK", "GB18030", "UTF-8"])
@pytest.mark.parametrize("golden", BY_EDITION, ids=name_of)
def test_a_message_is_the_same_in_every_charset(golden: Golden, charset: str) -> None:
    message, version, _ = golden
    assert decode(encode(message, charset, version)) == message


@pytest.mark.parametrize("golden", BY_EDITION, ids=name_of)
def test_a_message_is_refused_to_editions_before_its_own(golden: Golden) -> None:
    message, version, _ = golden
    assert message.allowed_for(version)
    for earlier in GbVersion:
        if not message.allowed_for(earlier):
            with pytest.raises(ManscdpError) as caught:
                encode(message, earlier.charset, earlier)
            assert caught.value.fault is ManscdpFault.NOT_IN_VERSION


def test_every_registered_message_has_golden_bytes() -> None:
    seen = {(message.root, message.cmd_type) for message, _ in GOLDEN}
    assert seen | {(message.root, message.cmd_type) for message, _, _ in BY_EDITION} == registered()


def test_a_name_outside_gb2312_moves_the_document_to_a_true_gb18030_declaration() -> None:
    wire = encode(DeviceInfo(sn=1, device_id=DEVICE, device_name="㐂门"), charset="GB2312")
    assert wire.startswith(b'<?xml version="1.0" encoding="GB18030"?>')
    assert "㐂门".encode("gb18030") in wire


def test_an_utf_8_peer_gets_utf_8() -> None:
    wire = encode(DeviceInfo(sn=1, device_id=DEVICE, device_name="东门"), charset="UTF-8")
    assert wire.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
    assert "东门".encode() in wire


@pytest.mark.parametrize(
    "message",
    [
        Keepalive(sn=0, device_id=DEVICE),
        Keepalive(sn=10**20, device_id=DEVICE),
        Keepalive(sn=1, device_id="3402<x>"),
        Keepalive(sn=1, device_id=""),
        DeviceInfo(sn=1, device_id=DEVICE, device_name="bell \x07"),
        DeviceInfo(sn=1, device_id=DEVICE, device_name="half \ud800"),
    ],
)
def test_what_xml_or_the_standard_cannot_carry_is_not_sent(message: Message) -> None:
    with pytest.raises(ManscdpError) as caught:
        encode(message)
    assert caught.value.fault is ManscdpFault.NOT_ENCODABLE
