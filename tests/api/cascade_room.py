"""The cascade as the API sees it, without a socket: superiors are kept, nobody is registered with."""

from __future__ import annotations

from dataclasses import replace

from commonview.foundation.clock import FakeClock
from commonview.network.cascade import (
    Relay,
    SharedChannel,
    Superior,
    SuperiorSettings,
    SuperiorStatus,
    SuperiorUnknown,
)
from commonview.network.cascade.settings import check_settings
from commonview.network.registration_plan import RegistrationPhase


class RelaysDouble:
    """Nothing is pulled."""

    def relays(self, superior_id: str | None = None) -> tuple[Relay, ...]:
        return ()


class OffersDouble:
    """Nothing is offered to the superiors known."""

    def __init__(self, cascade: CascadeDouble) -> None:
        self._cascade = cascade

    async def channels(
        self, superior_id: str, after: str = "", limit: int = 100
    ) -> tuple[tuple[SharedChannel, ...], str | None, int]:
        self._cascade.superior(superior_id)
        return (), None, 0

    async def name_channel(
        self, superior_id: str, channel_id: str, *, own_id: str | None = None, own_name: str | None = None
    ) -> None:
        self._cascade.superior(superior_id)


class CascadeDouble:
    """Superiors in memory."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.known: dict[str, Superior] = {}
        self.passwords: dict[str, str] = {}
        self.relays = RelaysDouble()
        self.talks = RelaysDouble()
        self.offers = OffersDouble(self)

    def superiors(self) -> tuple[tuple[Superior, SuperiorStatus], ...]:
        return tuple(self.superior(one) for one in self.known)

    def superior(self, superior_id: str) -> tuple[Superior, SuperiorStatus]:
        if superior_id not in self.known:
            raise SuperiorUnknown("no such superior", superior_id=superior_id)
        settings = self.known[superior_id].settings
        status = SuperiorStatus(
            phase=RegistrationPhase.REGISTERED,
            trouble=None,
            sip_status=200,
            address=f"{settings.host}:{settings.port}",
            redirected=False,
            failures=0,
            missed=0,
            granted_s=3600,
            gb_version="2.0",
            clock_offset_s=None,
            since=None,
            offered=None,
            subscriptions=("catalogue",),
            relays=0,
        )
        return self.known[superior_id], status

    async def add(self, settings: SuperiorSettings, password: str) -> Superior:
        check_settings(settings, password)
        superior = Superior(f"superior{len(self.known)}", settings, self._clock.now(), b"sealed")
        self.known[superior.id] = superior
        self.passwords[superior.id] = password
        return superior

    async def change(
        self, superior_id: str, settings: SuperiorSettings, password: str | None = None
    ) -> Superior:
        self.known[superior_id] = replace(self.superior(superior_id)[0], settings=settings)
        if password is not None:
            self.passwords[superior_id] = password
        return self.known[superior_id]

    async def remove(self, superior_id: str) -> None:
        self.superior(superior_id)
        del self.known[superior_id]
