"""A live transcoder's process: takes a stream from one socket and gives another on a second, until it is
ended.

Started as `python -m commonview.rendering.live_worker SOURCE SINK MEMORY NICE LONG SHORT KBPS`; the sockets
are inherited descriptors. On standard output it says how it does, every second, also when nothing comes:
whoever started it ends it when it falls silent. Never imported by the server.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from commonview.rendering import pipe
from commonview.rendering.limits import confine
from commonview.rendering.live_frames import Reader, packed
from commonview.rendering.worker import own_pipes

if TYPE_CHECKING:
    from commonview.rendering.recoding import Recoder

_TOLD_EVERY_S: Final = 1.0
_NO_FILES: Final = 0


def serve(recoder: Recoder, source: socket.socket, sink: socket.socket, told: int) -> None:
    """Recode what comes until the source ends."""
    source.settimeout(_TOLD_EVERY_S)
    reader = Reader(source)
    due = time.monotonic()
    while True:
        try:
            frame = reader.next()
        except TimeoutError:
            pass
        else:
            if frame is None:
                return
            for made in recoder.take(frame):
                sink.sendall(packed(made))
        if time.monotonic() >= due:
            due = time.monotonic() + _TOLD_EVERY_S
            _say(told, pipe.text({"progress": report(recoder)}))


def report(recoder: Recoder) -> dict[str, Any]:
    """How it does."""
    return {"codec": recoder.codec, "size": recoder.size, "made": recoder.made, **recoder.counters}


def _say(told: int, text: bytes) -> None:
    view = memoryview(text)
    while view:
        view = view[os.write(told, view) :]


def linger(sink: socket.socket) -> None:
    """The source has ended, and whoever started this knows why: it says to viewers what there is to say.

    An end of this process would tell them that the transcoder failed.
    """
    sink.settimeout(None)
    sink.recv(1)


def main() -> None:
    """Take the limits, then the library, then pictures."""
    source, sink, memory_bytes, nice, long_side, short_side, kbps = (int(each) for each in sys.argv[1:8])
    _, told = own_pipes()
    confine(memory_bytes, _NO_FILES, nice=nice)
    from commonview.rendering.recoding import Bounds, Recoder

    recoder = Recoder(Bounds(long_side, short_side, kbps))
    with socket.socket(fileno=source) as taken, socket.socket(fileno=sink) as given:
        serve(recoder, taken, given, told)
        linger(given)


if __name__ == "__main__":
    main()
