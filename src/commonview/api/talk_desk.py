"""Speaking through a camera, from the wish to the last word: on the books like a look."""

from collections.abc import Sequence
from datetime import datetime

from anyio import to_thread

from commonview.api.live_desk import Begun, LiveDesk
from commonview.api.looks import Wish
from commonview.media import SpeakerProtocol
from commonview.network import NetworkService
from commonview.network.voice import Talk, TalkBusy, TalkState
from commonview.security import Action, NotFound, OpenedAccess, SecurityService, Subject


class TalkDesk:
    """Opens talks. Their access records are kept by the desk that keeps those of looks."""

    def __init__(self, security: SecurityService, network: NetworkService, live: LiveDesk) -> None:
        self._security = security
        self._network = network
        self._live = live

    async def open(
        self, subject: Subject, wish: Wish, aac_rates: Sequence[int] = ()
    ) -> tuple[OpenedAccess, Talk, str, datetime]:
        """Grant, record, talk, ticket: in this order; the device is asked in the background.

        ``aac_rates`` are those at which the browser encodes AAC. The ticket is good once the talk is
        `connected`.

        Raises:
            ChannelUnknown, TalkBusy (with `who`): before anything is written.
            SecurityError, StorageUnavailable, NotSignedIn, LiveRefused: as `LiveDesk.open`.
        """
        voice = self._network.voice
        try:
            voice.require_free(wish.channel_id)
        except TalkBusy as error:
            raise await self._named(error) from None
        begun: list[Talk] = []

        async def begin(access: OpenedAccess) -> Begun:
            talk = voice.start(
                wish.channel_id,
                access_id=access.record.id,
                grant_id=access.grant.id,
                ends_at=access.grant.ends_at,
                aac_rates=aac_rates,
            )
            begun.append(talk)
            failed = TalkState.FAILED
            return Begun(talk.id, talk.id, talk.failure, lambda: voice.talk(talk.id).state is failed)

        try:
            access, way, start_by = await self._live.open_wish(
                subject, wish, Action.CAMERA_TALK, SpeakerProtocol.TALK, {}, begin
            )
        except TalkBusy as error:
            raise await self._named(error) from None
        return access, voice.talk(begun[0].id), way.path, start_by

    async def _named(self, error: TalkBusy) -> TalkBusy:
        """The same, with the name of who has the word: two people on duty must be able to agree."""

        def name() -> str:
            try:
                record = self._security.access_record(str(error.params.get("access_id", "")))
            except NotFound:
                return ""
            return self._security.account_names({record.account_id}).get(record.account_id, "")

        device_id = error.params.get("device_id", "")
        return TalkBusy(error.message, device_id=device_id, who=await to_thread.run_sync(name))
