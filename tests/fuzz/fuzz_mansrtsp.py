"""Fuzz target: any bytes as MANSRTSP are read or refused; what may be sent is written and reads the same."""

from commonview.wire.mansrtsp import MansrtspError, parse_mansrtsp
from tests.wire.test_mansrtsp import GOLDEN

SEEDS = [body for _, body in GOLDEN]


def one_input(data: bytes) -> None:
    try:
        read = parse_mansrtsp(data)
        wire = read.encode()
    except MansrtspError:
        return
    again = parse_mansrtsp(wire)
    if again.encode() != wire:
        raise AssertionError(f"{wire!r} reads differently")
