"""Fuzz target: any bytes as a MANSCDP body are read or refused, and what was read can be written again."""

from commonview.wire.manscdp import ManscdpError, ManscdpFault, Message, decode, encode
from tests.wire.manscdp.test_golden import BY_EDITION, GOLDEN

SEEDS = [*(wire for _, wire in GOLDEN), *(wire for _, _, wire in BY_EDITION)]


def one_input(data: bytes) -> None:
    try:
        decoded = decode(data)
    except ManscdpError:
        return
    if isinstance(decoded, Message) and decoded.sn:
        try:
            decode(encode(decoded, "GB18030"))
        except ManscdpError as error:
            # Text that is not XML's stays unsent; an id of a region list may not be ours to send.
            if error.fault is not ManscdpFault.NOT_ENCODABLE:
                raise
