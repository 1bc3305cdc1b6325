"""A voice from an upper platform through a lower one to the loudspeaker of its camera (9.12; 2016)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from commonview.media import CoreMediaNode
from commonview.network import FailureCode
from commonview.network.cascade import RelayEnd, RelayKind, RelayState, Superior
from commonview.network.voice import Talk, TalkBusy, TalkState
from commonview.security import AccessOutcome, SharedAction
from commonview.simulator import SimulatedCamera, Voice
from tests.network.cascade.platforms import (
    LOWER,
    UPPER,
    MemoryBook,
    camera_known,
    listed,
    media_platform,
    register,
)
from tests.network.harness import DEVICE, Room, now, until
from tests.network.voice.room import microphone, speak, talk_of, tone

pytest.importorskip("commonview.media._core", reason="the media core is not built")
pytestmark = pytest.mark.anyio

CAMERA = "34020000001320000001"
AT_LOWER = f"{DEVICE}-{CAMERA}"
AT_UPPER = f"{LOWER}-{CAMERA}"
TALK = frozenset({SharedAction.TALK})


@dataclass
class Pair:
    """An upper platform over a lower one whose camera has a loudspeaker."""

    upper: Room
    upper_node: CoreMediaNode
    lower: Room
    lower_node: CoreMediaNode
    camera: SimulatedCamera
    book: MemoryBook
    superior: Superior

    def begin(self) -> Talk:
        """Somebody above wants to speak."""
        ends_at = now() + timedelta(seconds=60)
        return self.upper.service.voice.start(AT_UPPER, access_id="a", grant_id="g", ends_at=ends_at)

    async def reached(self, talk: Talk, state: TalkState) -> Talk:
        await until(lambda: talk_of(self.upper, talk).state is state)
        return talk_of(self.upper, talk)


@asynccontextmanager
async def pair(
    folder: Path,
    *,
    upper_media: str = "udp",
    lower_media: str = "udp",
    actions: frozenset[SharedAction] = TALK,
    voice: Voice | None = None,
) -> AsyncIterator[Pair]:
    async with (
        media_platform(folder / "upper", default_media_transport=upper_media) as (upper, upper_node),
        media_platform(folder / "lower", sip_id=LOWER, default_media_transport=lower_media) as (
            lower,
            lower_node,
        ),
        SimulatedCamera(lower.camera_settings(voice=voice or Voice())) as camera,
        camera_known(lower),
    ):
        book = MemoryBook()
        superior = await register(lower, upper, book, share=False, allow_talk=True)
        book.share(superior.id, actions=actions)
        await lower.service.cascade.look_again()
        assert list(await listed(upper)) == [CAMERA]
        yield Pair(upper, upper_node, lower, lower_node, camera, book, superior)


@pytest.mark.parametrize(
    ("upper_media", "lower_media", "called"),
    [
        ("udp", "udp", False),
        ("udp", "tcp-passive", False),
        ("udp", "tcp-active", False),
        ("udp", "udp", True),
        ("tcp-passive", "udp", True),
        ("tcp-active", "udp", True),
    ],
)
async def test_a_voice_from_above_sounds_at_the_camera_and_is_in_the_books(
    tmp_path: Path, upper_media: str, lower_media: str, called: bool
) -> None:
    """Announced by Broadcast, then the lower platform calls; or called with `s=Talk` (``called``)."""
    async with pair(tmp_path, upper_media=upper_media, lower_media=lower_media) as two:
        if called:  # as it is learnt of a platform that refused a broadcast
            signalling = two.upper.service.voice.signalling
            signalling._refused[LOWER] = signalling._ground.clock.monotonic()
        talk = two.begin()
        await two.reached(talk, TalkState.CONNECTED)
        sound = tone(440, 0.5)
        async with microphone(two.upper_node, talk) as browser:
            await speak(browser, sound)
            await until(lambda: len(two.camera.voice.heard.alaw) >= len(sound) * 160 * 0.8, seconds=20)
            assert two.camera.voice.heard.frequency_hz == pytest.approx(440, abs=15)
            (relay,) = two.lower.service.cascade.talks.relays()
            assert (relay.kind, relay.state, relay.channel_id) == (
                RelayKind.TALK,
                RelayState.RUNNING,
                AT_LOWER,
            )
            ((_, channel_id, action, use),) = two.book.opened
            assert (channel_id, action, use.superior_id) == (AT_LOWER, SharedAction.TALK, UPPER)
        await until(lambda: not two.camera.voice.listening)
        (relay,) = two.lower.service.cascade.talks.relays()
        assert (relay.end, relay.bytes_sent > 0) == (RelayEnd.SUPERIOR_ENDED, True)
        await until(lambda: [one.access_id for one in two.lower.viewer_events] == [relay.access_id] * 2)
        assert two.lower.viewer_events[-1].bytes_sent > 0


@pytest.mark.parametrize("actions", [frozenset({SharedAction.LIVE}), TALK])
async def test_a_voice_that_is_not_shared_or_has_no_loudspeaker_is_refused(
    tmp_path: Path, actions: frozenset[SharedAction]
) -> None:
    mute = Voice(broadcast=False, talks=False)
    async with pair(tmp_path, actions=actions, voice=mute) as two:
        talk = await two.reached(two.begin(), TalkState.FAILED)
        assert talk.failure is not None
        assert talk.failure.code is FailureCode.BROADCAST_REFUSED
        shared = actions is TALK
        assert bool(two.book.opened) is shared
        await until(lambda: not shared or two.lower.viewer_events)
        assert two.lower.service.cascade.talks.running(two.superior.id) == 0


async def test_revoking_the_sharing_silences_the_superior(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        talk = two.begin()
        await two.reached(talk, TalkState.CONNECTED)
        async with microphone(two.upper_node, talk) as browser:
            await speak(browser, tone(440, 0.2))
            await until(lambda: two.camera.voice.heard.packets)
            sharing = two.book.sharings.pop()
            async with asyncio.timeout(5):
                two.lower_node.cut_grant(f"grant-{sharing.id}")
                await until(lambda: not two.camera.voice.listening)
                await two.reached(talk, TalkState.ENDED)
        (relay,) = two.lower.service.cascade.talks.relays()
        assert relay.end is RelayEnd.SHARING_ENDED
        assert two.lower.viewer_events[-1].reason == AccessOutcome.GRANT_REVOKED.value


async def test_a_superior_that_asks_again_replaces_its_former_voice_and_nobody_else_does(
    tmp_path: Path,
) -> None:
    """It was killed, say, and never said BYE: no ghost keeps the loudspeaker (Annex K c)."""
    async with pair(tmp_path) as two:
        first = two.begin()
        await two.reached(first, TalkState.CONNECTED)
        run = two.upper.service.voice._by_id[first.id]
        run.dialog = None  # what a killed process says: nothing
        two.upper.service.voice.leave("a")
        second = two.begin()
        await two.reached(second, TalkState.CONNECTED)
        ends = [one.end for one in two.lower.service.cascade.talks.relays()]
        assert ends == [None, RelayEnd.REPLACED]
        lower_voice = two.lower.service.voice
        with pytest.raises(TalkBusy):
            lower_voice.require_free(AT_LOWER)


async def test_a_camera_that_hangs_up_ends_the_call_above(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        talk = two.begin()
        await two.reached(talk, TalkState.CONNECTED)
        await two.camera.stop()
        await two.reached(talk, TalkState.ENDED)
        (relay,) = two.lower.service.cascade.talks.relays()
        assert relay.end is RelayEnd.SOURCE_ENDED
