"""Talks without a device: what is begun stays as it was begun."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from commonview.foundation.clock import Clock
from commonview.network import Failure, FailureCode
from commonview.network.quirks import TalkDialect
from commonview.network.voice import Talk, TalkBusy, TalkState, TalkUnknown


class VoiceDouble:
    """One device, with the talks that were asked for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.begun: dict[str, Talk] = {}
        self.cut: list[str] = []
        self.fail: FailureCode | None = None

    def require_free(self, channel_id: str) -> None:
        for talk in self.begun.values():
            if talk.ended_at is None:
                raise TalkBusy("taken", device_id=talk.device_id, access_id=talk.access_id)

    def start(
        self,
        channel_id: str,
        *,
        access_id: str,
        grant_id: str,
        ends_at: datetime,
        aac_rates: Sequence[int] = (),
    ) -> Talk:
        self.require_free(channel_id)
        now = self._clock.now()
        failed = self.fail is not None
        talk = Talk(
            id=f"talk{len(self.begun)}",
            access_id=access_id,
            grant_id=grant_id,
            channel_id=channel_id,
            device_id=channel_id.partition("-")[0],
            target_id=channel_id.partition("-")[2],
            dialect=TalkDialect.BROADCAST,
            transport=None,
            carriage=None,
            aac_rate_hz=0,
            state=TalkState.FAILED if failed else TalkState.ASKING,
            started_at=now,
            ended_at=now if failed else None,
            end=None,
            failure=Failure(self.fail, {}) if self.fail is not None else None,
            hops=(),
        )
        self.begun[talk.id] = talk
        return talk

    def talk(self, talk_id: str) -> Talk:
        if talk_id not in self.begun:
            raise TalkUnknown("no such talk")
        return self.begun[talk_id]

    def cut_grant(self, grant_id: str) -> None:
        self.cut.append(grant_id)
