"""Properties of the MANSCDP reader and writer for any input."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.wire.manscdp import (
    Catalog,
    CatalogItem,
    DeviceInfo,
    Keepalive,
    ManscdpError,
    Message,
    UnknownMessage,
    decode,
    encode,
    xml,
)

ids = st.from_regex(r"[0-9A-Za-z_-]{1,32}", fullmatch=True)
sns = st.integers(min_value=1, max_value=10**20 - 1)
texts = (
    st.text(
        st.characters(
            exclude_categories=["Cs", "Cc"],
            exclude_characters="\ufffe\uffff\N{REPLACEMENT CHARACTER}\x85\u2028",
        ),
        max_size=40,
    )
    .map(str.strip)
    .filter(lambda text: text not in {"null", "NULL", "(null)"})
)
degrees = st.none() | st.floats(min_value=-90, max_value=90)
items = st.builds(
    CatalogItem,
    device_id=ids,
    name=texts,
    address=texts,
    parental=st.none() | st.booleans(),
    parent_ids=st.lists(ids, max_size=4).map(tuple),
    register_way=st.none() | st.integers(0, 4),
    status=st.sampled_from(["ON", "OFF", ""]),
    longitude=degrees,
    latitude=degrees,
)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        Keepalive, sn=sns, device_id=ids, status=texts, faulty_ids=st.lists(ids, max_size=5).map(tuple)
    ),
    st.builds(DeviceInfo, sn=sns, device_id=ids, device_name=texts, model=texts, channel=st.none() | sns),
    st.builds(
        Catalog,
        sn=sns,
        device_id=ids,
        sum_num=st.integers(0, 10_000),
        items=st.lists(items, max_size=5).map(tuple),
    ),
)


@given(messages, st.sampled_from(["GB2312", "GBK", "GB18030", "UTF-8"]))
def test_what_is_written_is_read_back(message: Message, charset: str) -> None:
    wire = encode(message, charset)
    decoded = decode(wire)
    if decoded != message:  # GBK bytes that happen to be valid UTF-8 are the one thing bytes cannot tell
        wire.decode("utf-8")
        assert not wire.isascii()


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        decoded = decode(body)
    except ManscdpError:
        return
    assert isinstance(decoded, Message | UnknownMessage)


@given(messages, st.data())
def test_damaged_messages_are_read_or_refused(message: Message, data: st.DataObject) -> None:
    wire = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 6))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(
            st.sampled_from(list(b"<>&\"'/!\x00\xff A"))
        )
    try:
        decoded = decode(bytes(wire))
    except ManscdpError:
        return
    assert isinstance(decoded, Message | UnknownMessage)


@given(texts)
def test_a_raw_address_is_never_lost_with_its_page(address: str) -> None:
    body = (
        "<Response><CmdType>Catalog</CmdType><SN>1</SN><DeviceID>1</DeviceID><DeviceList><Item>"
        f"<DeviceID>2</DeviceID><Address>{address}</Address></Item></DeviceList></Response>"
    )
    if "</" in address or "/>" in address or "<!" in address or "<?" in address:
        return  # markup that closes elements or hides declarations cannot be told from the document's own
    decoded = decode(body.encode("gb18030"))
    assert isinstance(decoded, Catalog)
    assert [item.device_id for item in decoded.items] == ["2"]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64])
def test_where_the_steps_cut_a_body_changes_nothing(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    body = (
        '<?xml version="1.0" encoding="GB2312"?>\r\n<Response><CmdType>Catalog</CmdType><SN>7</SN>'
        "<DeviceID>34020000001110000001</DeviceID><SumNum>1</SumNum><DeviceList Num='1'><Item>"
        "<DeviceID>34020000001320000001</DeviceID><Name>东门 &amp; <![CDATA[a<b]]>㐂😀</Name>"
        "<Address>a & b</Address></Item></DeviceList></Response>\x01 "
    ).encode("gb18030")
    whole = decode(body)
    monkeypatch.setattr(xml, "_STEP_CHARS", step)
    assert decode(body) == whole
    assert isinstance(whole, Catalog)
    assert whole.items[0].name == "东门 & a<b㐂😀"
