"""Fuzz target: any text as an identifier, a civil code, f= and u= is classified or refused, never raised."""

from commonview.wire.civil import ancestors_of, civil_code
from commonview.wire.gbid import classify, is_usable
from commonview.wire.media_format import MediaFormat
from commonview.wire.sdp_dialects import RecordUri

SEEDS = [
    b"34020000001320000001",
    b"340203",
    b"34020000002000000001:2",
    b"v/2/6/25/2/4096a/1/8/1",
    b"http://34020000002100000001/a",
]


def one_input(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    if is_usable(text):
        gb_id = classify(text)
        parts = (gb_id.industry_group, gb_id.network_kind, gb_id.centre, gb_id.serial)
        if any(part is None for part in parts) != all(part is None for part in parts):
            raise AssertionError(f"{text!r} is taken apart by halves")
        _ = gb_id.type, gb_id.kind, gb_id.industry_letter, gb_id.civil_code
    code = civil_code(text)
    if code is not None and any(not code.startswith(each) for each in ancestors_of(code)):
        raise AssertionError(f"{code} does not lie in its ancestors")
    media_format = MediaFormat.parse(text)
    if media_format is not None:
        _ = media_format.resolution, media_format.video_codec, media_format.audio_codec
    uri = RecordUri.parse(text)
    if uri is not None and RecordUri.parse(uri.text) != uri:
        raise AssertionError(f"{text!r} reads differently")
