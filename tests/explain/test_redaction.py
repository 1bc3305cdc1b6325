"""What leaves a message before it is kept: every secret, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonview.explain import redact

DIGEST = b'Digest username="3402", realm="34", nonce="abc", uri="sip:a@b", '


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (b'Authorization: %sresponse="5e", algorithm=MD5', b'Authorization: %sresponse="***", algorithm=MD5'),
        (b'authorization:%sRESPONSE = 5e, cnonce="x\\"y"', b'authorization:%sRESPONSE = "***", cnonce="***"'),
        (b'Proxy-Authorization: %s\r\n response="5e"', b'Proxy-Authorization: %s\r\n response="***"'),
        (b'Authorization: %sxresponse="kept"', b'Authorization: %sxresponse="kept"'),
        (b'X-Authorization: %sresponse="another header"', b'X-Authorization: %sresponse="another header"'),
    ],
)
def test_proofs_of_a_digest_leave_and_the_rest_of_it_stays(said: bytes, kept: bytes) -> None:
    def whole(line: bytes) -> bytes:
        return b"REGISTER sip:a SIP/2.0\r\nVia: v\r\n" + line % DIGEST + b"\r\nExpires: 1\r\n\r\n"

    assert redact(whole(said)) == whole(kept)


@pytest.mark.parametrize(
    "value", [b"Basic dXNlcjpwYXNz", b"Bearer a.b.c", b"dXNlcjpwYXNz", b"Odd: Basic dXNl"]
)
def test_what_is_no_digest_leaves_whole(value: bytes) -> None:
    redacted = redact(b"Authorization: " + value + b"\r\nExpires: 1\r\n")
    assert value.rpartition(b" ")[2] not in redacted
    assert redacted.endswith(b"***\r\nExpires: 1\r\n")


def test_a_message_without_secrets_is_the_same_object() -> None:
    message = b'SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: Digest realm="34"\r\n\r\n'
    assert redact(message) is message


_PIECES = (
    *(b"Authorization:", b"authorization :", b"Proxy-Authorization: ", b"X-Authorization: ", b"\r\n", b"\n"),
    *(b" ", b"\t", b"Digest ", b"Basic ", b"response=", b"cnonce =", b'"', b"\\", b",", b":", b"=", b"\xe9"),
)


@given(st.lists(st.sampled_from(_PIECES), max_size=20), st.lists(st.sampled_from(_PIECES), max_size=20))
def test_no_proof_survives_whatever_stands_around_it(before: list[bytes], after: list[bytes]) -> None:
    message = b"".join(before) + b'\r\nAuthorization: Digest response="SECRET"\r\n' + b"".join(after)
    assert b"SECRET" not in redact(message)
