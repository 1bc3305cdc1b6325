"""A worker with jobs that go wrong in every way there is. Run by the pool's tests as a process of its own."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

from commonview.rendering.limits import confine
from commonview.rendering.worker import JobFailed, Progress, own_pipes, serve

Answer = tuple[dict[str, Any], bytes | None]


def echo(arguments: dict[str, Any], progress: Progress) -> Answer:
    progress({"half": 1})
    return {"pid": os.getpid(), "said": arguments["say"]}, str(arguments["say"]).encode()


def refuse(_arguments: dict[str, Any], _progress: Progress) -> Answer:
    raise JobFailed("picture_absent", "there is none")


def crash(_arguments: dict[str, Any], _progress: Progress) -> Answer:
    os.kill(os.getpid(), signal.SIGSEGV)
    return {}, None


def fault(_arguments: dict[str, Any], _progress: Progress) -> Answer:
    raise ZeroDivisionError


def hang(_arguments: dict[str, Any], _progress: Progress) -> Answer:
    time.sleep(3600)
    return {}, None


def chatter(_arguments: dict[str, Any], progress: Progress) -> Answer:
    while True:
        progress({"more": 1})
        time.sleep(0.005)


def eat(_arguments: dict[str, Any], _progress: Progress) -> Answer:
    return {"bytes": len(bytearray(2**40))}, None


def write(arguments: dict[str, Any], _progress: Progress) -> Answer:
    with open(arguments["path"], "wb") as file:  # noqa: PTH123 - as a library would
        try:
            for _ in range(64):
                file.write(bytes(2**16))
                file.flush()
        except OSError as error:
            raise JobFailed("disk_full", "the file may not grow") from error
    return {}, None


def junk(_arguments: dict[str, Any], _progress: Progress) -> Answer:
    os.write(int(os.environ["ODD_SINK"]), b"<html>this is no frame</html>" * 100)
    time.sleep(3600)
    return {}, None


def environment(_arguments: dict[str, Any], _progress: Progress) -> Answer:
    return {"names": sorted(os.environ)}, None


if __name__ == "__main__":
    source, sink = own_pipes()
    os.environ["ODD_SINK"] = str(sink)
    confine(int(sys.argv[1]), int(sys.argv[2]), nice=int(sys.argv[3]))
    jobs = (echo, refuse, crash, fault, hang, chatter, eat, write, junk, environment)
    serve({job.__name__: job for job in jobs}, source, sink)
