"""Our registration with one superior, and what goes to it (GB/T 28181-2022 9.1, 9.6)."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from typing import TYPE_CHECKING, Final

from commonview.network.registration_client import RegistrationClient
from commonview.network.registration_plan import RegistrationPhase, RegistrationPlan, SipServer
from commonview.network.requests import Platform
from commonview.network.sip_endpoint import SipEndpointError, SipOverload
from commonview.wire.manscdp import ManscdpError
from commonview.wire.sip.subscription import RetryTiming

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from commonview.foundation.clock import Clock
    from commonview.network.cascade.model import Superior
    from commonview.network.registration_plan import RegistrationStatus
    from commonview.network.sip_endpoint import Flow, SipEndpoint
    from commonview.wire.manscdp import Message

log = logging.getLogger(__name__)

_ANSWER_S: Final = 16.0
_SPEAKING: Final = (RegistrationPhase.REGISTERED, RegistrationPhase.REGISTERING)


class NotTaken(Exception):
    """The superior did not take a message; the text says why."""


class Link:
    """One superior: registered from `start` to `stop`."""

    def __init__(
        self,
        endpoint: SipEndpoint,
        superior: Superior,
        password: str,
        clock: Clock,
        *,
        on_changed: Callable[[Link], None],
        retry: RetryTiming | None = None,
    ) -> None:
        self.superior = superior
        self._endpoint = endpoint
        self._clock = clock
        self._on_changed = on_changed
        settings = superior.settings
        self.platform = Platform(settings.local_id, settings.local_id[:10])
        plan = RegistrationPlan(
            device_id=settings.local_id,
            password=password,
            server=SipServer(
                settings.server_id,
                settings.server_domain,
                settings.host,
                settings.port,
                settings.transport.value,
            ),
            username=settings.username,
            expires_s=settings.expires_s,
            keepalive_interval_s=settings.keepalive_s,
            retry=retry or RetryTiming(),
        )
        self._client = RegistrationClient(
            endpoint,
            plan,
            on_status=self._status_changed,
            gb_version=settings.edition.version.header,
            charset=settings.written_charset,
            wall=clock.now,
        )
        self._sn = secrets.randbelow(100_000) + 1
        self._turn = asyncio.Lock()
        self.since: datetime | None = None
        self.counters: Counter[str] = Counter()

    def start(self) -> None:
        """Begin to register."""
        self._client.start()

    async def stop(self) -> None:
        """Unregister."""
        await self._client.stop()

    @property
    def status(self) -> RegistrationStatus:
        """How the registration stands."""
        return self._client.status

    @property
    def registered(self) -> bool:
        """Whether the superior knows us now."""
        return self.status.phase is RegistrationPhase.REGISTERED and self.flow is not None

    @property
    def speaking(self) -> bool:
        """Whether it may speak with us: registered with, or about to be. Its first question comes on the
        heels of its 200, before we have read that."""
        return self.flow is not None and self.status.phase in _SPEAKING

    @property
    def flow(self) -> Flow | None:
        """The way to the superior."""
        return self._client.flow

    def _status_changed(self, status: RegistrationStatus) -> None:
        before, self.since = self.since, self._clock.now()
        if status.phase is RegistrationPhase.REGISTERED and before is not None:
            log.info("registered with superior %s", self.superior.settings.server_id)
        self._on_changed(self)

    def is_from(self, sender: str | None, flow: Flow) -> bool:
        """Whether a request comes from this superior.

        Believed is only the address that we registered with: on its own port whoever speaks there, from
        another port of that host only who also says the superior's id.
        """
        ours = self.flow
        if ours is None or not self.speaking:
            return False
        if flow == ours or flow.peer == ours.peer:
            return True
        return flow.peer[0] == ours.peer[0] and sender in (
            self.superior.settings.server_id,
            self.status.server.server_id,
        )

    def next_sn(self) -> int:
        """The SN of the next message of ours."""
        self._sn += 1
        return self._sn

    async def send(self, message: Message) -> int:
        """Send a MESSAGE; returns the status of its SIP answer. One at a time, in the order of the calls:
        the next page leaves when the former was answered (Annex M).

        Raises `NotTaken` when the superior cannot be reached, refuses, or cannot be told this.
        """
        settings = self.superior.settings
        async with self._turn:
            flow = self.flow
            if flow is None or not self.speaking:
                raise NotTaken("not registered")
            try:
                request = self.platform.message(
                    settings.server_id, flow, message, settings.written_charset, settings.edition.version
                )
                response = await self._endpoint.request(request, flow, timeout_s=_ANSWER_S)
            except (SipEndpointError, SipOverload, ManscdpError) as error:
                self.counters["unsent"] += 1
                raise NotTaken(str(error)) from error
        if response.status >= 300:
            self.counters["refused"] += 1
            raise NotTaken(f"answered {response.status}")
        self.counters["sent"] += 1
        return response.status
