"""`serve`: one instance, its HTTP server, its signals, and the words it says when it is ready."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from commonview.api.http_protocol import CONNECTIONS_MAX, HEAD_MAX_BYTES, BoundedH11Protocol
from commonview.api.instance import Instance, open_instance
from commonview.foundation import garbage
from commonview.foundation.errors import CommonviewError
from commonview.foundation.settings import Settings

log = logging.getLogger(__name__)

_SWITCH_S = 0.0005
_GRACE_S = 3


@dataclass(frozen=True, slots=True)
class Ready:
    """What somebody who just started a server wants to know."""

    console_url: str
    setup_link: str | None
    sip_address: str
    sip_id: str
    sip_domain: str
    enrolment_password_file: Path
    data_dir: Path

    def announcement(self) -> str:
        """One clear block. The set-up link is shown on purpose; the device password is not."""
        lines = [
            "Commonview is ready.",
            f"  Console          {self.console_url}/",
            f"  SIP (UDP, TCP)   {self.sip_address}, server id {self.sip_id}, domain {self.sip_domain}",
            f"  Device password  in the file {self.enrolment_password_file}",
            f"  Data             {self.data_dir}",
        ]
        if self.setup_link is not None:
            lines += ["  First accounts   make them once with this link:", f"    {self.setup_link}"]
        return "\n".join(lines)


class BackgroundFailed(CommonviewError):
    """A part that must run all the time ended: the server stops rather than go on without it."""

    default_code = "background_failed"
    http_status = 500


class _HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers: the whole instance stops in order, not only HTTP."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Tells when connections are accepted."""
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are ours."""
        yield


async def serve(
    settings: Settings, *, on_ready: Callable[[Ready], None], stop: asyncio.Event | None = None
) -> None:
    """Run one instance until SIGINT, SIGTERM or `stop`.

    Raises:
        CommonviewError: it cannot start, or a part of it died; in plain words.
    """
    stop = stop if stop is not None else asyncio.Event()
    # The event loop gives the interpreter lock away with every datagram it sends. Beside a busy thread it
    # would get it back after 5 ms, and a server that is writing would answer two hundred devices a second.
    sys.setswitchinterval(_SWITCH_S)
    with _signals(stop):
        async with open_instance(settings) as instance:
            http = _HttpServer(_http_config(instance))
            serving = asyncio.create_task(http.serve(sockets=[instance.http_socket]), name="http")
            listening = asyncio.create_task(http.listening.wait(), name="listening")
            stopping = asyncio.create_task(stop.wait(), name="stop")
            try:
                await asyncio.wait({serving, listening}, return_when=asyncio.FIRST_COMPLETED)
                if http.listening.is_set():
                    on_ready(_ready(instance))
                    garbage.settle()
                watched = {serving, stopping, *instance.background}
                done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                for task in done - {stopping}:
                    raise BackgroundFailed(f"the part '{task.get_name()}' ended: {task.exception()!r}")
                log.info("stopping: saying good-bye to cameras and viewers")
            finally:
                listening.cancel()
                stopping.cancel()
                instance.bus.close()
                http.should_exit = True
                await serving
    log.info("stopped")


def _http_config(instance: Instance) -> uvicorn.Config:
    return uvicorn.Config(
        instance.app,
        http=BoundedH11Protocol,
        ws="none",
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_GRACE_S,
        limit_concurrency=CONNECTIONS_MAX,
        h11_max_incomplete_event_size=HEAD_MAX_BYTES,
    )


def _ready(instance: Instance) -> Ready:
    settings = instance.settings
    return Ready(
        console_url=instance.url,
        setup_link=instance.setup_link,
        sip_address=f"{settings.sip_public_host or settings.sip_host}:{instance.sip_port}",
        sip_id=settings.sip_id,
        sip_domain=settings.sip_domain,
        enrolment_password_file=instance.data.enrolment_password,
        data_dir=instance.data.root,
    )


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    handled = (signal.SIGINT, signal.SIGTERM)
    for one in handled:
        loop.add_signal_handler(one, stop.set)
    try:
        yield
    finally:
        for one in handled:
            loop.remove_signal_handler(one)
