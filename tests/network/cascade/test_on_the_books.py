"""Relays under the real security room: revoking the sharing cuts them, and the records say what was sent."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from commonview.media import CoreMediaNode
from commonview.network import SessionState, ViewerEvent, ViewerEventKind
from commonview.network.cascade import Relay, RelayEnd
from commonview.network.history import DownloadState, PlaybackState
from commonview.network.voice import TalkState
from commonview.security import NEEDED, AccessOutcome, SharedAction, SharingScope
from commonview.security.verify import verify_audit
from tests.network.cascade import test_relayed_past, test_relayed_voice, test_relays
from tests.network.cascade.test_relays import AT_LOWER, AT_UPPER
from tests.network.harness import Room, now, until
from tests.network.history.room import at
from tests.security.conftest import make_office, set_up

pytest.importorskip("commonview.media._core", reason="the media core is not built")
pytest.importorskip("av", reason="the simulator's extra is not installed")
pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("action", [one for one in SharedAction if one in NEEDED and one != "control"])
async def test_revoking_a_sharing_cuts_what_runs_at_once_and_closes_its_record(
    tmp_path: Path, action: SharedAction
) -> None:
    """Within five seconds is asked for; when the revocation returns, the media core has cut already."""
    office = make_office(tmp_path / "office")
    office.clock.advance((now() - office.clock.now()).total_seconds())  # the media core has its own clock
    staff = set_up(office)
    security = office.service
    cuts: list[int] = []

    def closes(event: ViewerEvent) -> None:
        if event.kind is ViewerEventKind.LEFT:
            security.close_access(event.access_id, AccessOutcome(event.reason), bytes_sent=event.bytes_sent)

    async with _two_platforms(tmp_path, action) as (upper, lower, node, superior_id):
        lower.service.cascade.use(security)
        lower.service.set_viewer_listener(closes)
        security.on_grant_end(lambda grant_id, _outcome: cuts.append(node.cut_grant(grant_id)))
        purposes = security.purposes(staff.supervisor)
        sharing = security.create_sharing(
            staff.supervisor,
            superior_id=superior_id,
            owner="city bureau",
            purpose_id=next(one.id for one in purposes if NEEDED[action] in one.actions),
            reason="city drill",
            actions=frozenset({action}),
            scope=SharingScope(everything=True),
            ends_at=office.clock.now().replace(year=office.clock.now().year + 1),
        )
        await lower.service.cascade.look_again()
        over = await _pull(upper, action)
        (relay,) = _relays(lower)
        record = security.access_record(relay.access_id)
        assert (record.channel_id, record.detail["superior_name"], record.action) == (
            AT_LOWER,
            "city",
            NEEDED[action],
        )
        security.revoke_sharing(staff.supervisor, sharing.id, "the drill is over")
        assert cuts == [1]
        assert node.sender_stats(relay.id) is None
        await until(lambda: _relays(lower)[0].end is RelayEnd.SHARING_ENDED)
        await until(over)
        await until(lambda: security.access_record(relay.access_id).outcome is AccessOutcome.GRANT_REVOKED)
    assert verify_audit(office.data.audit, settle_s=0, database=office.data.database).ok
    office.db.close()


def _relays(lower: Room) -> tuple[Relay, ...]:
    return (*lower.service.cascade.relays.relays(), *lower.service.cascade.talks.relays())


@asynccontextmanager
async def _two_platforms(
    folder: Path, action: SharedAction
) -> AsyncIterator[tuple[Room, Room, CoreMediaNode, str]]:
    """The upper and the lower one, its media node, and what it calls the upper one."""
    if action is SharedAction.TALK:
        async with test_relayed_voice.pair(folder) as speaking:
            yield speaking.upper, speaking.lower, speaking.lower_node, speaking.superior.id
    elif action is SharedAction.LIVE:
        async with test_relays.pair(folder, actions=frozenset({SharedAction.ALARM})) as watched:
            yield watched.upper, watched.lower, watched.lower_node, watched.superior.id
    else:
        async with test_relayed_past.pair(folder) as kept:
            yield kept.upper, kept.lower, kept.lower_node, kept.superior.id


async def _pull(upper: Room, action: SharedAction) -> Callable[[], bool]:
    """Have it come from below; returns what tells that the upper platform knows that it is over."""
    service = upper.service
    if action is SharedAction.LIVE:
        session = await service.start_live(AT_UPPER, access_id="v")
        await until(lambda: service.session(session.id).state is SessionState.LIVE)
        return lambda: service.session(session.id).state is not SessionState.LIVE
    if action is SharedAction.RECORDING:
        playbacks, playback = (
            service.history.playbacks,
            service.history.start_playback(AT_UPPER, "v", at(1), at(25)),
        )
        await until(lambda: playbacks.playback(playback.id).state is PlaybackState.PLAYING)
        return lambda: playbacks.playback(playback.id).state is not PlaybackState.PLAYING
    if action is SharedAction.DOWNLOAD:
        downloads = service.history.downloads
        fetched = service.history.start_download(
            AT_UPPER, at(1), at(25), speed=1, access_id="d", grant_id="g"
        )
        await until(lambda: downloads.download(fetched.id).received_bytes > 0)
        return lambda: downloads.download(fetched.id).state in (DownloadState.SHORT, DownloadState.FAILED)
    ends_at = now() + timedelta(seconds=300)
    voice = service.voice
    talk = voice.start(AT_UPPER, access_id="a", grant_id="g", ends_at=ends_at)
    await until(lambda: voice.talk(talk.id).state is TalkState.CONNECTED)
    return lambda: voice.talk(talk.id).state in (TalkState.ENDED, TalkState.FAILED)
