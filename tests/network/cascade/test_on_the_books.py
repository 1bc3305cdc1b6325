"""A relay under the real security room: revoking its sharing cuts it, and the record says what was sent."""

import asyncio
from pathlib import Path

import pytest

from commonview.network import ViewerEvent, ViewerEventKind
from commonview.network.cascade import RelayEnd
from commonview.security import AccessOutcome, Action, SharedAction, SharingScope
from commonview.security.verify import verify_audit
from tests.network.cascade.test_relays import AT_LOWER, pair
from tests.network.harness import now, until
from tests.security.conftest import make_office, set_up

pytest.importorskip("commonview.media._core", reason="the media core is not built")
pytest.importorskip("av", reason="the simulator's extra is not installed")
pytestmark = pytest.mark.anyio


async def test_revoking_a_sharing_ends_the_relay_within_five_seconds_and_closes_its_record(
    tmp_path: Path,
) -> None:
    office = make_office(tmp_path / "office")
    office.clock.advance((now() - office.clock.now()).total_seconds())  # the media core has its own clock
    staff = set_up(office)
    security = office.service

    def closes(event: ViewerEvent) -> None:
        if event.kind is ViewerEventKind.LEFT:
            security.close_access(event.access_id, AccessOutcome(event.reason), bytes_sent=event.bytes_sent)

    async with pair(tmp_path, actions=frozenset({SharedAction.ALARM})) as two:
        two.lower.service.cascade.use(security)
        two.lower.service.set_viewer_listener(closes)
        security.on_grant_end(lambda grant_id, _outcome: two.lower_node.cut_grant(grant_id))
        purpose = next(one for one in security.purposes(staff.supervisor) if Action.LIVE_VIEW in one.actions)
        sharing = security.create_sharing(
            staff.supervisor,
            superior_id=two.superior.id,
            owner="city bureau",
            purpose_id=purpose.id,
            reason="city drill",
            actions=frozenset({SharedAction.LIVE}),
            scope=SharingScope(everything=True),
            ends_at=office.clock.now().replace(year=office.clock.now().year + 1),
        )
        await two.lower.service.cascade.look_again()
        viewer = await two.watch()
        await viewer.fragments(3)
        (relay,) = two.lower.service.cascade.relays.relays()
        record = security.access_record(relay.access_id)
        assert (record.channel_id, record.detail["superior_name"]) == (AT_LOWER, "city")
        async with asyncio.timeout(5):
            await asyncio.to_thread(
                security.revoke_sharing, staff.supervisor, sharing.id, "the drill is over"
            )
            relays = two.lower.service.cascade.relays
            await until(lambda: relays.relays()[0].end is RelayEnd.SHARING_ENDED)
        ended = security.access_record(relay.access_id)
        assert ended.outcome is AccessOutcome.GRANT_REVOKED
        assert ended.bytes_sent > 0
        await viewer.leave()
    assert verify_audit(office.data.audit, settle_s=0, database=office.data.database).ok
    office.db.close()
