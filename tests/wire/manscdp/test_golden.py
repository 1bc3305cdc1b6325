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

DEVICE = "34020000001320000001"
CHANNEL = "34020000001310000001"


def document(root: str, *lines: str, charset: str = "GB2312") -> bytes:
    text = "\r\n".join([f'<?xml version="1.0" encoding="{charset}"?>', f"<{root}>", *lines, f"</{root}>", ""])
    return text.encode(charset)


def head(cmd_type: str, sn: int = 17) -> tuple[str, str, str]:
    return f"<CmdType>{cmd_type}</CmdType>", f"<SN>{sn}</SN>", f"<DeviceID>{DEVICE}</DeviceID>"


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


def test_every_registered_message_has_golden_bytes() -> None:
    assert {(message.root, message.cmd_type) for message, _ in GOLDEN} == registered()


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
