"""What fielded devices send, and what of it is read; and what hostile ones send, and how it is refused."""

import pytest

from commonview.wire.manscdp import (
    Catalog,
    DecodeCounters,
    DeviceInfo,
    DeviceStatus,
    Keepalive,
    ManscdpError,
    ManscdpFault,
    Repair,
    UnknownMessage,
    decode,
    message,
)
from commonview.wire.manscdp.registry import Message
from commonview.wire.manscdp.xml import MAX_BODY_BYTES, MAX_ELEMENTS, MAX_SEARCHED_CHARS

DEVICE = "34020000001320000001"
HEAD = f"<CmdType>Catalog</CmdType><SN>5</SN><DeviceID>{DEVICE}</DeviceID>"
ALIVE = f"<CmdType>Keepalive</CmdType><SN>1</SN><DeviceID>{DEVICE}</DeviceID>"


def catalogue(item: str, charset: str = "gb18030") -> Catalog:
    body = (
        f"<Response>{HEAD}<SumNum>1</SumNum><DeviceList Num='1'><Item>{item}</Item></DeviceList></Response>"
    )
    decoded = decode(body.encode(charset))
    assert isinstance(decoded, Catalog)
    return decoded


def keepalive(inside: str) -> Keepalive:
    decoded = decode(f"<Notify>{inside}</Notify>".encode())
    assert isinstance(decoded, Keepalive)
    return decoded


class TestCharset:
    @pytest.mark.trap(16)
    @pytest.mark.parametrize("declared", ["GB2312", "UTF-8", "GBK", "utf-16", "nonsense"])
    @pytest.mark.parametrize("actual", ["utf-8", "gb18030"])
    def test_bytes_decide_whatever_the_declaration_says(self, declared: str, actual: str) -> None:
        text = (
            f'<?xml version="1.0" encoding="{declared}"?><Response><CmdType>DeviceInfo</CmdType><SN>1</SN>'
            f"<DeviceID>{DEVICE}</DeviceID><DeviceName>东门岗亭</DeviceName></Response>"
        )
        decoded = decode(text.encode(actual))
        assert isinstance(decoded, DeviceInfo)
        assert decoded.device_name == "东门岗亭"

    def test_a_standalone_declaration_and_a_byte_order_mark_are_read(self) -> None:
        body = b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8" standalone="yes"?><Notify>'
        body += f"{ALIVE}</Notify>".encode()
        assert isinstance(decode(body), Keepalive)

    def test_bytes_of_no_charset_cost_one_character_and_are_told(self) -> None:
        body = f"<Response>{HEAD.replace('Catalog', 'DeviceInfo')}<DeviceName>A".encode()
        decoded = decode(body + b"\xff" + b"</DeviceName></Response>")
        assert isinstance(decoded, DeviceInfo)
        assert decoded.device_name.startswith("A\N{REPLACEMENT CHARACTER}")
        assert decoded.repairs == (Repair.DAMAGED_TEXT,)


class TestRawMarkup:
    @pytest.mark.trap(4)
    @pytest.mark.parametrize(
        "address",
        ["A&B", "1 < 2", "a<b", "<B区>路", "R&D <x> & <y", "5>4 & 3<4", "&nbsp;&#x;", "A<B>C", "<<>>"],
    )
    def test_raw_markup_in_an_address_is_text_and_the_page_survives(self, address: str) -> None:
        page = catalogue(f"<DeviceID>{DEVICE}</DeviceID><Address>{address}</Address><Status>ON</Status>")
        assert [item.address for item in page.items] == [address]
        assert page.items[0].status == "ON"
        assert Repair.RAW_MARKUP in page.repairs

    def test_a_large_page_with_a_raw_ampersand_survives(self) -> None:
        filler = "<Block>" + "x" * MAX_SEARCHED_CHARS + "</Block>"
        page = catalogue(f"<DeviceID>{DEVICE}</DeviceID><Address>A&B</Address>{filler}")
        assert page.items[0].address == "A&B"

    def test_text_that_looks_like_a_tag_is_not_searched_for_in_huge_bodies(self) -> None:
        filler = "<Block>" + "x" * MAX_SEARCHED_CHARS + "</Block>"
        with pytest.raises(ManscdpError) as caught:
            catalogue(f"<DeviceID>{DEVICE}</DeviceID><Address>A<B>C</Address>{filler}")
        assert caught.value.fault is ManscdpFault.NOT_WELL_FORMED

    def test_control_characters_are_removed_and_told(self) -> None:
        page = catalogue(f"<DeviceID>{DEVICE}</DeviceID><Name>A\x00\x0bB</Name>")
        assert page.items[0].name == "AB"
        assert page.repairs == (Repair.CONTROL_CHARACTERS,)

    def test_bytes_after_the_end_are_cut_off_and_told(self) -> None:
        body = f"<Notify>{ALIVE}</Notify>\0\0junk"
        assert Repair.TRAILING_BYTES in decode(body.encode()).repairs

    def test_blank_space_before_the_declaration_is_forgiven(self) -> None:
        body = f'\r\n <?xml version="1.0"?><Notify>{ALIVE}</Notify>'
        assert isinstance(decode(body.encode()), Keepalive)


class TestHead:
    def test_the_attribute_form_of_the_head_is_read_and_told(self) -> None:
        decoded = decode(
            f'<Notify CmdType="Keepalive" SN="7" DeviceID="{DEVICE}"><Status>OK</Status></Notify>'.encode()
        )
        assert decoded == Keepalive(sn=7, device_id=DEVICE, repairs=(Repair.ATTRIBUTE_HEAD,))

    @pytest.mark.parametrize("sn", [2**32, 1_763_800_000_123, 10**20 - 1])
    def test_an_sn_beyond_32_bits_is_kept(self, sn: int) -> None:
        assert keepalive(f"<CmdType>Keepalive</CmdType><SN>{sn}</SN><DeviceID>{DEVICE}</DeviceID>").sn == sn

    @pytest.mark.parametrize(
        "sn", ["", "<SN></SN>", "<SN>abc</SN>", "<SN>-1</SN>", "<SN>" + "9" * 21 + "</SN>"]
    )
    def test_an_unusable_sn_becomes_zero_and_is_told(self, sn: str) -> None:
        decoded = keepalive(f"<CmdType>Keepalive</CmdType>{sn}<DeviceID>{DEVICE}</DeviceID>")
        assert (decoded.sn, decoded.repairs) == (0, (Repair.SN_MISSING,))

    def test_letter_case_of_names_is_forgiven(self) -> None:
        decoded = keepalive(
            f"<cmdtype>KeepAlive</cmdtype><Sn>1</Sn><DeviceId>{DEVICE}</DeviceId><status>OK</status>"
        )
        assert (decoded.sn, decoded.device_id, decoded.status) == (1, DEVICE, "OK")

    @pytest.mark.parametrize(
        "content_type", [None, "", "Application/MANSCDP+xml", "APPLICATION/manscdp+XML", "text/xml"]
    )
    def test_content_types_that_mean_manscdp_are_accepted(self, content_type: str | None) -> None:
        body = f"<Notify>{ALIVE}</Notify>"
        assert isinstance(decode(body.encode(), content_type), Keepalive)


class TestFields:
    def test_faulty_children_of_a_keepalive_are_listed(self) -> None:
        decoded = keepalive(
            f"{ALIVE}<Status>OK</Status><Info><DeviceID>1</DeviceID><DeviceID>2</DeviceID></Info>"
        )
        assert decoded.faulty_ids == ("1", "2")

    @pytest.mark.parametrize(("status", "ok"), [("OK", True), ("ok", True), ("", True), ("Error", False)])
    def test_a_blank_status_counts_as_healthy_and_error_in_any_case_does_not(
        self, status: str, ok: bool
    ) -> None:
        decoded = keepalive(f"{ALIVE}<Status>{status}</Status>")
        assert decoded.ok is ok

    def test_unknown_elements_stay_raw_in_extra(self) -> None:
        decoded = keepalive(f"{ALIVE}<Vendor a='1'><X>y</X></Vendor>")
        vendor = decoded.extra[0]
        assert (vendor.name, vendor.attributes, vendor.value("X")) == ("Vendor", {"a": "1"}, "y")

    @pytest.mark.parametrize("text", ["null", "NULL", "(null)", "  ", ""])
    def test_the_word_null_is_a_blank(self, text: str) -> None:
        page = catalogue(f"<DeviceID>{DEVICE}</DeviceID><Address>{text}</Address><Owner>x</Owner>")
        assert page.items[0].address == ""
        assert [each.name for each in page.items[0].extra] == ["Owner"]

    @pytest.mark.parametrize(("written", "read"), [("0", False), ("1", True), ("65535", None), ("", None)])
    def test_parental_other_than_0_and_1_is_unknown(self, written: str, read: bool | None) -> None:
        assert catalogue(f"<DeviceID>1</DeviceID><Parental>{written}</Parental>").items[0].parental is read

    @pytest.mark.trap(31)
    @pytest.mark.trap(30)
    @pytest.mark.parametrize(
        ("written", "read"),
        [("ON", True), ("OFF", False), ("1", True), ("0", False), ("on", True), ("", None), ("VLOST", False)],
    )
    def test_status_of_a_channel(self, written: str, read: bool | None) -> None:
        assert catalogue(f"<DeviceID>1</DeviceID><Status>{written}</Status>").items[0].on is read

    def test_several_parents_are_several_ids(self) -> None:
        page = catalogue("<DeviceID>1</DeviceID><ParentID>111/ 222 //333</ParentID>")
        assert page.items[0].parent_ids == ("111", "222", "333")

    @pytest.mark.trap(17)
    @pytest.mark.parametrize("degrees", ["181", "nan", "inf", "x", ""])
    def test_a_longitude_that_is_none_is_unknown(self, degrees: str) -> None:
        assert catalogue(f"<DeviceID>1</DeviceID><Longitude>{degrees}</Longitude>").items[0].longitude is None

    def test_items_without_a_usable_id_are_counted_not_kept(self) -> None:
        items = "<Item><Name>x</Name></Item><Item><DeviceID>1</DeviceID></Item>"
        page = decode(f"<Response>{HEAD}<DeviceList>{items}</DeviceList></Response>".encode())
        assert isinstance(page, Catalog)
        assert ([item.device_id for item in page.items], page.refused_items, page.sum_num) == (["1"], 1, None)

    def test_alarm_inputs_of_a_device_status(self) -> None:
        item = "<Item><DeviceID>9</DeviceID><DutyStatus>ALARM</DutyStatus></Item>"
        head = HEAD.replace("Catalog", "DeviceStatus")
        decoded = decode(f"<Response>{head}<AlarmStatus Num='1'>{item}</AlarmStatus></Response>".encode())
        assert isinstance(decoded, DeviceStatus)
        assert [(each.device_id, each.duty_status) for each in decoded.alarm_inputs] == [("9", "ALARM")]

    @pytest.mark.trap(23)
    @pytest.mark.parametrize("result", ["ERROR", "Error", "error"])
    def test_result_error_is_a_failure_in_any_case(self, result: str) -> None:
        decoded = decode(
            f"<Response>{HEAD.replace('Catalog', 'DeviceInfo')}<Result>{result}</Result></Response>".encode()
        )
        assert isinstance(decoded, DeviceInfo)
        assert not decoded.ok


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "fault"),
        [
            (b"", ManscdpFault.EMPTY),
            (b" \r\n", ManscdpFault.EMPTY),
            (b"<" * 10, ManscdpFault.NOT_WELL_FORMED),
            (b"<Notify>", ManscdpFault.NOT_WELL_FORMED),
            (b"not xml at all", ManscdpFault.NOT_WELL_FORMED),
            (b"\x00" * 100, ManscdpFault.NOT_WELL_FORMED),
            (b"<Notify><CmdType>Keepalive</CmdType><SN>1</SN></Notify>", ManscdpFault.MISSING_FIELD),
            (b"<Notify><SN>1</SN><DeviceID>1</DeviceID></Notify>", ManscdpFault.MISSING_FIELD),
            (b"<Other><CmdType>Keepalive</CmdType></Other>", ManscdpFault.UNKNOWN_ROOT),
            (
                b"<Notify><CmdType>Keepalive</CmdType><SN>1</SN><DeviceID>../../x</DeviceID></Notify>",
                ManscdpFault.BAD_VALUE,
            ),
            (b"<!DOCTYPE x><Notify/>", ManscdpFault.FORBIDDEN_MARKUP),
            (b'<!DOCTYPE x [<!ENTITY a "b">]><Notify>&a;</Notify>', ManscdpFault.FORBIDDEN_MARKUP),
            (b'<!doctype x SYSTEM "file:///etc/passwd"><Notify/>', ManscdpFault.FORBIDDEN_MARKUP),
            (b"<Notify>" + b"<a>" * 40 + b"</a>" * 40 + b"</Notify>", ManscdpFault.TOO_DEEP),
            (b"<Notify>" + b"<a/>" * MAX_ELEMENTS + b"</Notify>", ManscdpFault.TOO_MANY_ELEMENTS),
            (
                b"<Notify " + b" ".join(b"a%d=''" % n for n in range(20)) + b"/>",
                ManscdpFault.TOO_MANY_ELEMENTS,
            ),
            (b"<Notify>" + b" " * MAX_BODY_BYTES, ManscdpFault.TOO_LARGE),
        ],
    )
    def test_hostile_body_is_refused_by_name(self, body: bytes, fault: ManscdpFault) -> None:
        counters = DecodeCounters()
        with pytest.raises(ManscdpError) as caught:
            decode(body, counters=counters)
        assert caught.value.fault is fault
        assert counters.refused == {fault: 1}

    @pytest.mark.parametrize("charset", ["utf-16", "utf-32", "utf-7"])
    def test_a_document_type_cannot_hide_behind_a_charset(self, charset: str) -> None:
        text = f'<?xml version="1.0" encoding="{charset}"?><!DOCTYPE x [<!ENTITY a "b">]><Notify>&a;</Notify>'
        with pytest.raises(ManscdpError):
            decode(text.encode(charset))

    def test_another_content_type_is_refused(self) -> None:
        with pytest.raises(ManscdpError) as caught:
            decode(b"<Notify/>", "application/sdp")
        assert caught.value.fault is ManscdpFault.CONTENT_TYPE


class TestRegistry:
    def test_an_unregistered_command_is_unknown_and_counted(self) -> None:
        counters = DecodeCounters()
        decoded = decode(
            f"<Notify><CmdType>SensorCatalog</CmdType><SN>3</SN><DeviceID>{DEVICE}</DeviceID></Notify>".encode(),
            counters=counters,
        )
        assert isinstance(decoded, UnknownMessage)
        assert (decoded.root, decoded.cmd_type, decoded.sn) == ("Notify", "SensorCatalog", 3)
        assert counters.unknown == {("Notify", "SensorCatalog"): 1}

    def test_unknown_commands_cannot_grow_the_counters_without_bound(self) -> None:
        counters = DecodeCounters()
        for number in range(2 * DecodeCounters.MAX_UNKNOWN):
            decode(f"<Notify><CmdType>X{number}</CmdType><SN>3</SN></Notify>".encode(), counters=counters)
        assert len(counters.unknown) == DecodeCounters.MAX_UNKNOWN + 1
        assert counters.unknown.total() == 2 * DecodeCounters.MAX_UNKNOWN

    def test_repairs_are_counted(self) -> None:
        counters = DecodeCounters()
        decode(
            f"<Notify CmdType='Keepalive' SN='1'><DeviceID>{DEVICE}</DeviceID></Notify>".encode(),
            counters=counters,
        )
        assert (counters.decoded, counters.repaired) == (1, {Repair.ATTRIBUTE_HEAD: 1})

    @pytest.mark.parametrize(("root", "cmd_type"), [("Notify", "Keepalive"), ("Answer", "Keepalive")])
    def test_a_taken_key_or_unknown_root_cannot_be_registered(self, root: str, cmd_type: str) -> None:
        with pytest.raises(ValueError):
            message(root, cmd_type)(Message)
