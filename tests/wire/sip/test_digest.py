"""Digest authentication, both sides."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.wire.sip.digest import (
    Challenge,
    Credentials,
    DigestPolicy,
    answer,
    choose,
    compute_response,
    hash_secret,
    verify,
    verify_hash,
)
from commonview.wire.sip.errors import SipParseError

# RFC 2617 3.5.
MUFASA = Credentials(
    username="Mufasa",
    realm="testrealm@host.com",
    nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
    uri="/dir/index.html",
    response="6629fae49393a05397450978507c4ef1",
    qop="auth",
    nc="00000001",
    cnonce="0a4f113b",
    opaque="5ccc069c403ebaf9f0171e9517f40e41",
)


def test_the_example_of_rfc_2617_verifies() -> None:
    assert verify(MUFASA, "Circle Of Life", "GET")
    assert not verify(MUFASA, "Circle of Life", "GET")
    assert not verify(MUFASA, "Circle Of Life", "POST")


def test_the_sha_256_example_of_rfc_7616_verifies() -> None:
    given_fields = Credentials(
        username="Mufasa",
        realm="http-auth@example.org",
        nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        uri="/dir/index.html",
        response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        algorithm="SHA-256",
        qop="auth",
        nc="00000001",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert verify(given_fields, "Circle of Life", "GET")


def test_without_qop_the_response_is_that_of_rfc_2069() -> None:
    # Computed with md5sum: md5(md5("3402:realm:12345678") ":nonce:" md5("REGISTER:sip:a@b")).
    plain = Credentials("3402", "realm", "nonce", "sip:a@b", "584248df944be9ccc031c436d4becfa6")
    assert compute_response(hash_secret("3402", "realm", "12345678"), plain, "REGISTER") == plain.response


def test_verifying_from_a_stored_hash_is_the_same() -> None:
    secret_hash = hash_secret("Mufasa", "testrealm@host.com", "Circle Of Life")
    assert verify_hash(MUFASA, secret_hash, "GET")
    assert not verify_hash(replace(MUFASA, response="0" * 32), secret_hash, "GET")
    assert not verify_hash(replace(MUFASA, response="é"), secret_hash, "GET")


@pytest.mark.parametrize("qop", ["", "auth"])
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SM3"])
def test_an_answer_to_a_challenge_verifies_after_a_trip_over_the_wire(qop: str, algorithm: str) -> None:
    challenge = Challenge.parse(
        Challenge("3402000000", "n-1", qop=qop, algorithm=algorithm, opaque="o").encode()
    )
    credentials = answer(
        challenge, username="34020000001320000001", password="s", method="REGISTER", uri="sip:a@b", cnonce="c"
    )
    arrived = Credentials.parse(credentials.encode())
    assert arrived == credentials
    assert verify(arrived, "s", "REGISTER")
    assert not verify(arrived, "S", "REGISTER")


def test_fields_are_read_with_odd_spacing_quotes_and_case() -> None:
    credentials = Credentials.parse(
        'DIGEST Username = "a\\"b",REALM="r" , nonce=n,uri="sip:a@b",'
        'response="ABCDEF",algorithm=md5, qop="auth",nc=00000001,cnonce="x",'
    )
    assert credentials.username == 'a"b'
    assert credentials.response == "abcdef"
    assert (credentials.algorithm, credentials.qop) == ("MD5", "auth")


WHOLE = 'Digest username="u", realm="r", nonce="n", uri="sip:a@b", response="0123", algorithm=MD5'


@pytest.mark.trap(6)
@pytest.mark.parametrize(
    "value",
    [
        "",
        "Digest",
        "Basic dTpw",
        "NoOneKnowsThisScheme opaque-data=here",
        'Digest username="u"',
        WHOLE.replace("response", "responce"),
        WHOLE.replace("MD5", "MD6"),
        WHOLE + ', qop="auth-int"',
        WHOLE + ", qop=auth",
        WHOLE + ', qop=auth, nc=1, cnonce="x"',
        WHOLE + ', username="other"',
        WHOLE + ", ===",
        WHOLE.replace('uri="sip:a@b"', 'uri="sip:a@b'),
        "Digest " + "a=b," * 2000,
    ],
)
def test_a_malformed_or_truncated_authorization_is_refused(value: str) -> None:
    with pytest.raises(SipParseError):
        Credentials.parse(value)


@given(st.integers(0, len(WHOLE)), st.text(max_size=6))
def test_an_authorization_damaged_anywhere_is_read_or_refused(at: int, noise: str) -> None:
    for value in (WHOLE[:at], WHOLE[:at] + noise + WHOLE[at:], WHOLE[:at] + noise):
        for parse in (Credentials.parse, Challenge.parse):
            with contextlib.suppress(SipParseError):
                assert isinstance(parse(value), Credentials | Challenge)


@pytest.mark.parametrize(
    "value",
    [
        'Digest realm="r"',
        'Digest nonce="n"',
        'Digest realm="r", nonce="n", algorithm=SHA-512-256',
        'Digest realm="r", nonce="n", qop="auth-int"',
    ],
)
def test_a_challenge_we_cannot_answer_is_refused(value: str) -> None:
    with pytest.raises(SipParseError):
        Challenge.parse(value)


def test_a_challenge_says_stale_and_picks_auth_from_a_list() -> None:
    challenge = Challenge.parse('Digest realm="r", nonce="n", qop="auth-int,auth", stale=TRUE')
    assert challenge.stale
    assert challenge.qop == "auth"
    assert "stale=true" in Challenge("r", "n", stale=True).encode()


def test_the_response_never_shows_in_a_representation() -> None:
    assert MUFASA.response not in repr(MUFASA)


def test_a_field_with_a_line_break_is_not_written() -> None:
    with pytest.raises(ValueError, match="one line"):
        Challenge("a\r\nb", "n").encode()
    with pytest.raises(ValueError, match="cnonce"):
        answer(Challenge("r", "n", qop="auth"), username="u", password="p", method="REGISTER", uri="sip:a@b")


def test_the_md5_example_of_rfc_7616_verifies() -> None:
    given_fields = replace(
        MUFASA,
        realm="http-auth@example.org",
        nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        response="8ca523f5e9506fed4657c9700eebdbec",
    )
    assert verify(given_fields, "Circle of Life", "GET")


# Computed with `openssl dgst -sm3`.
@pytest.mark.parametrize(
    ("qop", "response"),
    [
        ("", "76b03dd1eff1cc4a9dc3477e4c3fb9c0d22c21543373651b1ddd468217260452"),
        ("auth", "201ea08fe5cf57298f4a872d1b22f47a37ef7b700bb13796dfd8ae433a87e60d"),
    ],
)
def test_an_sm3_response_is_computed_like_any_other(qop: str, response: str) -> None:
    credentials = answer(
        Challenge("3402000000", "n-1", qop=qop, algorithm="SM3"),
        username="34020000001320000001",
        password="12345678",
        method="REGISTER",
        uri="sip:34020000002000000001@3402000000",
        cnonce="0a4f113b",
    )
    assert credentials.response == response


def test_a_client_answers_the_strongest_challenge_it_knows() -> None:
    offered = [Challenge("r", "n", algorithm=name).encode() for name in ("MD5", "SM3", "SHA-256")]
    assert choose(offered).algorithm == "SM3"
    assert choose(reversed(offered)).algorithm == "SM3"
    assert choose(offered[:1]).algorithm == "MD5"
    foreign = 'Digest realm="r", nonce="n", algorithm=SHA-512-256'
    assert choose([foreign, *offered[:1]]).algorithm == "MD5"
    with pytest.raises(SipParseError):
        choose([foreign, "Basic realm=r"])


def test_a_policy_offers_one_challenge_an_algorithm_in_its_order() -> None:
    policy = DigestPolicy.parse(" sm3, MD5 ", qop=True)
    offered = [Challenge.parse(value) for value in policy.challenges("r", "n", stale=True)]
    assert [(one.algorithm, one.qop, one.stale) for one in offered] == [
        ("SM3", "auth", True),
        ("MD5", "auth", True),
    ]
    assert [
        one.algorithm for one in map(Challenge.parse, DigestPolicy().challenges("r", "n", stale=False))
    ] == ["MD5"]


@pytest.mark.parametrize("text", ["", "MD6", "MD5,MD5"])
def test_a_policy_that_cannot_be_kept_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="digest algorithm"):
        DigestPolicy.parse(text)
