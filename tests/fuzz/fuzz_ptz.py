"""Fuzz target: any text and any bytes as PTZ are read or refused; what was read can be written again."""

from commonview.wire.ptz import PtzError, decode_ptz, encode_ptz, read_ptz
from tests.wire.test_ptz import VECTORS

SEEDS = [code.encode() for _, code in VECTORS] + [bytes.fromhex(code) for _, code in VECTORS]


def one_input(data: bytes) -> None:
    checked = b"\xa5" + data[:6]
    for code in (data.decode("utf-8", "replace"), data.hex(), checked.hex() + f"{sum(checked) & 0xFF:02x}"):
        try:
            command = read_ptz(code)
        except PtzError:
            continue
        if decode_ptz(encode_ptz(command)) != command:
            raise AssertionError(f"{command} reads differently")
