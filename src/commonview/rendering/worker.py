"""A worker process: takes one job after another from its standard input until that ends.

Started by the pool as `python -m commonview.rendering.worker MEMORY FILE NICE`. Never imported by the server.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from commonview.rendering import pipe
from commonview.rendering.limits import confine

Progress = Callable[[dict[str, Any]], None]
Job = Callable[[dict[str, Any], Progress], "tuple[dict[str, Any], bytes | None]"]
"""Takes its arguments and somewhere to tell how far it is; answers what it found and made."""


class JobFailed(Exception):
    """A job cannot be done; `args` are a stable code and a sentence."""


def serve(jobs: Mapping[str, Job], source: int, sink: int) -> None:
    """Do jobs until ``source`` ends."""
    while (order := _read(source)) is not None:
        try:
            job = jobs[order["job"]]
            done, made = job(order["arguments"], lambda told: _write(sink, pipe.text({"progress": told})))
        except JobFailed as error:
            code, message = error.args
            _write(sink, pipe.text({"failed": {"code": code, "message": message}}))
        except MemoryError:
            failed = {"code": "media_too_large", "message": "it needs more memory than a worker may have"}
            _write(sink, pipe.text({"failed": failed}))
        else:
            _write(sink, pipe.text({"done": done, "payload": made is not None}))
            if made is not None:
                _write(sink, pipe.payload(made))


def _read(source: int) -> dict[str, Any] | None:
    head = _exactly(source, pipe.HEAD.size)
    if head is None:
        return None
    content = _exactly(source, pipe.length_of(head, pipe.TEXT))
    return None if content is None else pipe.said(content)


def _exactly(source: int, length: int) -> bytes | None:
    parts = []
    while length:
        part = os.read(source, min(length, 2**16))
        if not part:
            return None
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _write(sink: int, frame: bytes) -> None:
    view = memoryview(frame)
    while view:
        view = view[os.write(sink, view) :]


def own_pipes() -> tuple[int, int]:
    """The pipes to the server; what a library prints goes nowhere."""
    source, sink = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)
    return source, sink


def main() -> None:
    """Take the limits, then the libraries, then jobs."""
    memory_bytes, file_bytes, nice = (int(each) for each in sys.argv[1:4])
    source, sink = own_pipes()
    confine(memory_bytes, file_bytes, nice=nice)
    from commonview.rendering.jobs import JOBS

    serve(JOBS, source, sink)


if __name__ == "__main__":
    main()
