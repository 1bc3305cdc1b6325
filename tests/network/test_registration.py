from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.network.registration import (
    DEFAULT_EXPIRES_S,
    MAX_EXPIRES_S,
    RegisterRefused,
    date_header,
    read_register,
    user_of,
)
from commonview.wire.sip.headers import Headers

DEVICE = "34020000001110000001"
AOR = f"<sip:{DEVICE}@3402000000>"


def headers(**fields: str) -> Headers:
    values = {"From": f"{AOR};tag=1", "To": AOR, "Contact": f"<sip:{DEVICE}@192.0.2.5:5060>"}
    values.update({name.replace("_", "-"): value for name, value in fields.items()})
    return Headers(values.items())


@pytest.mark.parametrize(
    "address",
    [
        f"<sip:{DEVICE}@3402000000>;tag=77",
        f'"Camera, north" <sip:{DEVICE}@192.0.2.7:5060;transport=tcp>',
        f"sip:{DEVICE}@3402000000.spvmn.cn",
        f"<SIP:{DEVICE}@example.org>",
        f"<sip:{DEVICE}:secret@192.0.2.7>",
    ],
)
def test_device_id_is_found_in_every_form_of_address(address: str) -> None:
    assert user_of(address) == DEVICE


@pytest.mark.parametrize(
    "address", [None, "", "<sip:3402000000>", "<tel:123@x>", "sip:@x", "<sip:" + "9" * 99 + "@x>"]
)
def test_address_without_a_device_has_none(address: str | None) -> None:
    assert user_of(address) is None


@given(st.text(max_size=300))
def test_any_text_is_read_as_an_address_without_harm(text: str) -> None:
    user = user_of(text)
    assert user is None or 0 < len(user) <= 64


@pytest.mark.trap(7)
@pytest.mark.parametrize("target", ["<sip:3402000000@3402000000>", "<sip:3402000000>", "sip:192.0.2.1:5060"])
def test_registrars_domain_in_to_registers_the_sender(target: str) -> None:
    assert read_register(headers(To=target)).device_id == DEVICE


@pytest.mark.parametrize("target", ["<sip:34020000001110000002@3402000000>", "<sip:camera@3402000000>"])
def test_another_device_in_to_is_refused(target: str) -> None:
    with pytest.raises(RegisterRefused) as refused:
        read_register(headers(To=target))
    assert refused.value.status == 403


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"Expires": "3600"}, 3600),
        ({"Expires": "0"}, 0),
        ({}, DEFAULT_EXPIRES_S),
        ({"Expires": "3600", "Contact": f"<sip:{DEVICE}@192.0.2.5>;expires=60"}, 60),
        ({"Expires": "4000000000"}, MAX_EXPIRES_S),
    ],
)
def test_expiry_comes_from_contact_then_header_then_the_standard(
    fields: dict[str, str], expected: int
) -> None:
    assert read_register(headers(**fields)).expires_s == expected


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"To": "<sip:3402000000>", "From": "<sip:3402000000>"}, 400),
        ({"To": "<sip:a%20b;c@x>", "From": "<sip:a%20b;c@x>"}, 400),
        ({"From": "<sip:34020000001110000002@3402000000>;tag=1"}, 403),
        ({"Expires": "soon"}, 400),
        ({"Expires": "3600", "Contact": "*"}, 400),
    ],
)
def test_unusable_register_is_refused_with_its_status(fields: dict[str, str], status: int) -> None:
    with pytest.raises(RegisterRefused) as refused:
        read_register(headers(**fields))
    assert refused.value.status == status


def test_star_contact_with_expiry_zero_unregisters() -> None:
    assert read_register(headers(Contact="*", Expires="0")).expires_s == 0


def test_contact_is_answered_with_the_expiry_that_was_granted() -> None:
    asked = f"<sip:{DEVICE}@192.0.2.5>;expires=4000000000;q=1"
    assert read_register(headers(Contact=asked)).contact == (
        f"<sip:{DEVICE}@192.0.2.5>;expires={MAX_EXPIRES_S};q=1"
    )


def test_user_agent_in_a_chinese_charset_is_read() -> None:
    wire = "海康 IPC".encode("gbk").decode("utf-8", "surrogateescape")
    assert read_register(headers(User_Agent=wire)).user_agent == "海康 IPC"


def test_version_of_the_peer_is_kept_only_when_it_is_one() -> None:
    assert read_register(headers(X_GB_Ver="3.0")).gb_version == "3.0"
    assert read_register(headers(X_GB_Ver="<script>")).gb_version is None


def test_date_is_beijing_time_with_milliseconds_and_no_zone() -> None:
    assert date_header(datetime(2026, 5, 6, 20, 7, 8, 9_000, tzinfo=UTC)) == "2026-05-07T04:07:08.009"
