"""A simulated camera against a scripted platform: registration, keep-alive, queries, calls, faults."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from commonview.network.sip_endpoint import SipEndpoint
from commonview.simulator import CameraState, Channel, Faults, Server, SimulatedCamera
from commonview.wire.manscdp import (
    Catalog,
    CatalogQuery,
    DeviceInfo,
    DeviceInfoQuery,
    DeviceStatus,
    DeviceStatusQuery,
    Keepalive,
    Message,
)
from commonview.wire.sdp import MediaTransport
from commonview.wire.sip.headers import Headers
from commonview.wire.sip.message import SipRequest
from tests.simulator.depacketise import packs_of, read_packet
from tests.simulator.material import ScriptedSource
from tests.simulator.platform import (
    CHANNEL_ID,
    DEVICE_ID,
    ScriptedPlatform,
    answered,
    camera_settings,
    offer,
    read_framed,
    udp_receiver,
)
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def registered(camera: SimulatedCamera) -> None:
    await camera.wait_for(CameraState.REGISTERED)


@asynccontextmanager
async def joined(
    *, faults: Faults | None = None, **changes: object
) -> AsyncIterator[tuple[ScriptedPlatform, SimulatedCamera]]:
    """A platform and one camera that is registered with it."""
    async with ScriptedPlatform() as platform:
        settings = camera_settings(platform, ScriptedSource(), **changes)
        async with SimulatedCamera(settings, faults=faults) as camera:
            await registered(camera)
            yield platform, camera


def of_type(platform: ScriptedPlatform, kind: type[Message]) -> list[Message]:
    return [message for message in platform.messages if isinstance(message, kind)]


def test_a_platform_is_named_by_its_numeric_address() -> None:
    with pytest.raises(ValueError, match="platform"):
        Server(host="platform.example", port=5060, server_id=DEVICE_ID, domain="3402000000")


class TestRegistration:
    @pytest.mark.parametrize("transport", ["udp", "tcp"])
    async def test_it_registers_with_digest_and_unregisters_with_digest(self, transport: str) -> None:
        async with ScriptedPlatform() as platform:
            camera = SimulatedCamera(camera_settings(platform, ScriptedSource(), transport=transport))
            async with camera:
                await registered(camera)
                assert platform.registered == {DEVICE_ID: 3600}
                assert platform.flows[DEVICE_ID].transport == transport
            assert platform.registered == {DEVICE_ID: 0}
            assert camera.state is CameraState.STOPPED
        authorised = ["Authorization" in request.headers for request in platform.registers]
        assert authorised == [False, True, False, True]
        assert len({request.headers.get("Call-ID") for request in platform.registers}) == 1
        assert all(request.headers.get("X-GB-Ver") == "3.0" for request in platform.registers)

    async def test_it_refreshes_before_the_registration_expires(self) -> None:
        async with ScriptedPlatform() as platform:
            settings = camera_settings(platform, ScriptedSource(), expires_s=1, keepalive_s=30)
            async with SimulatedCamera(settings):
                await platform.until(lambda: len(platform.registers) >= 4)

    async def test_a_wrong_password_is_refused_and_tried_again_later(self) -> None:
        lines: list[str] = []
        async with ScriptedPlatform() as platform:
            settings = camera_settings(platform, ScriptedSource())
            faults = Faults(wrong_password=True)
            async with SimulatedCamera(settings, faults=faults, report=lines.append) as camera:
                await platform.until(lambda: camera.counters.registrations_refused >= 2)
                assert (camera.last_refusal, platform.registered) == (403, {})
                camera.faults = Faults()
                await registered(camera)
        assert any("refused with 403" in line for line in lines)
        assert "correct horse" not in "".join(lines) + repr(settings)

    async def test_it_waits_for_a_platform_that_is_not_there_yet(self) -> None:
        async with ScriptedPlatform() as platform:
            platform.silent = True
            async with SimulatedCamera(camera_settings(platform, ScriptedSource())) as camera:
                await camera.wait_for(CameraState.WAITING)
                platform.silent = False
                await registered(camera)

    async def test_over_tcp_it_waits_for_a_platform_that_refuses_connections(self) -> None:
        async with ScriptedPlatform() as platform:
            settings = camera_settings(platform, ScriptedSource(), transport="tcp")
        async with SimulatedCamera(settings) as camera:  # the platform is gone
            await camera.wait_for(CameraState.WAITING)
            assert camera.counters.registrations == 0


class TestKeepalive:
    async def test_it_keeps_alive_at_its_interval(self) -> None:
        async with ScriptedPlatform() as platform:
            settings = camera_settings(platform, ScriptedSource(), keepalive_s=0.1)
            async with SimulatedCamera(settings):
                await platform.until(lambda: len(of_type(platform, Keepalive)) >= 3)
        serials = [message.sn for message in of_type(platform, Keepalive)]
        assert serials == sorted(set(serials))

    @pytest.mark.parametrize("status", [401, 403, 404])
    async def test_a_platform_that_forgot_it_is_registered_with_again(self, status: int) -> None:
        async with joined(keepalive_s=0.1) as (platform, camera):
            platform.message_status = status
            await platform.until(lambda: len(platform.registers) >= 4)
            platform.message_status = 200
            await registered(camera)

    async def test_a_platform_that_falls_silent_is_registered_with_again(self) -> None:
        async with ScriptedPlatform() as platform:
            settings = camera_settings(
                platform, ScriptedSource(), keepalive_s=0.1, keepalive_misses=2, request_timeout_s=0.2
            )
            async with SimulatedCamera(settings) as camera:
                await registered(camera)
                platform.silent = True
                await camera.wait_for(CameraState.WAITING)
                platform.silent = False
                await registered(camera)
                assert camera.counters.keepalives_missed >= 2


class TestQueries:
    @pytest.mark.parametrize("transport", ["udp", "tcp"])
    async def test_every_query_gets_its_answer_with_the_same_sn(self, transport: str) -> None:
        async with ScriptedPlatform() as platform:
            camera = SimulatedCamera(camera_settings(platform, ScriptedSource(), transport=transport))
            async with camera:
                await registered(camera)
                for sn, query in enumerate((CatalogQuery, DeviceInfoQuery, DeviceStatusQuery), start=41):
                    assert await platform.send(DEVICE_ID, query(sn=sn, device_id=DEVICE_ID)) == 200
                await platform.until(lambda: len(platform.messages) >= 3)
        answers = {type(message): message for message in platform.messages}
        assert [answers[kind].sn for kind in (Catalog, DeviceInfo, DeviceStatus)] == [41, 42, 43]
        catalogue = answers[Catalog]
        assert isinstance(catalogue, Catalog)
        assert [(item.device_id, item.name, item.on) for item in catalogue.items] == [
            (CHANNEL_ID, "东门 East Gate", True)
        ]
        assert catalogue.items[0].parent_ids == (DEVICE_ID,)

    async def test_many_channels_come_in_pages_of_one_sn(self) -> None:
        async with ScriptedPlatform() as platform:
            source = ScriptedSource()
            channels = tuple(Channel(f"3402000000131{n:07d}", f"C{n}", source) for n in range(10))
            settings = camera_settings(platform, source, channels=channels, catalogue_page_items=4)
            async with SimulatedCamera(settings) as camera:
                await registered(camera)
                await platform.send(DEVICE_ID, CatalogQuery(sn=7, device_id=DEVICE_ID))
                await platform.until(lambda: len(platform.messages) == 3)
        pages = [message for message in platform.messages if isinstance(message, Catalog)]
        assert [(page.sn, page.sum_num, len(page.items)) for page in pages] == [
            (7, 10, 4),
            (7, 10, 4),
            (7, 10, 2),
        ]
        assert len({item.device_id for page in pages for item in page.items}) == 10

    async def test_pages_can_come_twice(self) -> None:
        async with joined(faults=Faults(pages_twice=True)) as (platform, _camera):
            await platform.send(DEVICE_ID, CatalogQuery(sn=7, device_id=DEVICE_ID))
            await platform.until(lambda: len(platform.messages) == 2)
        assert platform.messages[0] == platform.messages[1]

    async def test_a_query_about_another_device_is_not_answered(self) -> None:
        async with joined() as (platform, _camera):
            await platform.send(DEVICE_ID, CatalogQuery(sn=1, device_id="34020000001320000099"))
            await platform.send(DEVICE_ID, DeviceInfoQuery(sn=2, device_id=DEVICE_ID))
            await platform.until(lambda: len(platform.messages) >= 1)
        assert [type(message) for message in platform.messages] == [DeviceInfo]


class TestCalls:
    async def test_over_udp_it_streams_until_bye(self) -> None:
        async with joined() as (platform, camera), udp_receiver() as receiver:
            call = await platform.invite(offer(receiver.port))
            assert (answered(call).ssrc, answered(call).direction) == (200_000_017, "sendonly")
            await call.ack()
            packets = await receiver.until_packets(40)
            assert await platform.bye(call) == 200
            await camera.until(lambda: not camera.calls)
        assert {read_packet(packet).ssrc for packet in packets} == {200_000_017}
        assert {read_packet(packet).payload_type for packet in packets} == {96}
        assert packs_of(packets)[0].startswith(b"\x00\x00\x01\xba")
        assert camera.counters.streams_ended == 1

    async def test_over_tcp_it_dials_a_platform_that_listens(self) -> None:
        connections: asyncio.Queue[asyncio.StreamReader] = asyncio.Queue()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.put_nowait(reader)
            writers.append(writer)

        writers: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with joined() as (platform, _camera):
            call = await platform.invite(offer(port, MediaTransport.TCP, "passive"))
            assert (answered(call).setup, answered(call).transport) == ("active", MediaTransport.TCP)
            await call.ack()
            reader = await asyncio.wait_for(connections.get(), PATIENCE_S)
            assert writers[0].get_extra_info("peername")[1] == answered(call).port
            packets = await read_framed(reader, 40)
            await platform.bye(call)
        assert packs_of(packets)[0].startswith(b"\x00\x00\x01\xba")
        writers[0].close()
        server.close()

    async def test_over_tcp_it_listens_for_a_platform_that_dials(self) -> None:
        async with joined() as (platform, _camera):
            call = await platform.invite(offer(9, MediaTransport.TCP, "active"))
            assert answered(call).setup == "passive"
            await call.ack()
            reader, writer = await asyncio.open_connection(answered(call).address, answered(call).port)
            packets = await read_framed(reader, 40)
            await platform.bye(call)
            writer.close()
        assert packs_of(packets)[0].startswith(b"\x00\x00\x01\xba")

    async def test_a_broken_media_connection_ends_the_call_with_bye(self) -> None:
        async with joined() as (platform, camera):
            call = await platform.invite(offer(9, MediaTransport.TCP, "active"))
            await call.ack()
            reader, writer = await asyncio.open_connection("127.0.0.1", answered(call).port)
            await read_framed(reader, 10)
            writer.transport.abort()
            await platform.until(lambda: len(platform.byes) == 1)
            await camera.until(lambda: not camera.calls)

    async def test_the_camera_can_hang_up(self) -> None:
        async with joined() as (platform, camera), udp_receiver() as receiver:
            call = await platform.invite(offer(receiver.port))
            await call.ack()
            await camera.wait_streaming()
            await camera.hang_up()
            assert platform.byes == [call.dialog.call_id if call.dialog else ""]

    async def test_stopping_ends_its_streams_with_bye_before_it_unregisters(self) -> None:
        async with joined() as (platform, camera), udp_receiver() as receiver:
            await (await platform.invite(offer(receiver.port))).ack()
            await camera.wait_streaming()
            await camera.stop()
            assert len(platform.byes) == 1
            assert platform.registered == {DEVICE_ID: 0}

    async def test_a_call_not_yet_answered_is_declined_when_the_camera_stops(self) -> None:
        async with joined(faults=Faults(invite_delay_s=30)) as (platform, camera):
            inviting = asyncio.ensure_future(platform.invite(offer(30_000)))
            await camera.until(lambda: bool(camera.calls))
            await camera.stop()
            assert (await inviting).response.status == 480

    async def test_one_stream_too_many_is_busy(self) -> None:
        async with joined(max_streams=1) as (platform, _camera), udp_receiver() as receiver:
            first = await platform.invite(offer(receiver.port))
            await first.ack()
            assert (await platform.invite(offer(receiver.port))).response.status == 486
            await platform.bye(first)
            again = await platform.invite(offer(receiver.port))
            assert again.response.status == 200
            await again.ack()

    async def test_a_new_call_for_the_same_source_replaces_the_old_one(self) -> None:
        async with joined(max_streams=1) as (platform, _camera), udp_receiver() as old, udp_receiver() as new:
            subject = f"{CHANNEL_ID}:0,34020000002000000001:"
            first = await platform.invite(offer(old.port), subject=subject + "1")
            await first.ack()
            await old.until_packets(5)
            second = await platform.invite(offer(new.port), subject=subject + "2")
            assert second.response.status == 200
            await second.ack()
            await new.until_packets(5)
            await platform.until(lambda: len(platform.byes) == 1)
            assert first.dialog is not None
            assert platform.byes == [first.dialog.call_id]

    async def test_nobody_but_its_platform_can_have_it_send_video(self) -> None:
        async with joined() as (platform, camera):
            stranger = SipEndpoint(on_request=lambda transaction: transaction.respond(200))
            await stranger.listen_udp("127.0.0.2", 0)
            call = SipRequest(
                "INVITE",
                f"sip:{CHANNEL_ID}@127.0.0.1",
                Headers([("From", "<sip:stranger@127.0.0.2>"), ("To", f"<sip:{CHANNEL_ID}@127.0.0.1>")]),
                offer(30_000).encode(),
            )
            result = await stranger.invite(
                call, stranger.udp_flow(*platform.flows[DEVICE_ID].peer), timeout_s=PATIENCE_S
            )
            await stranger.close()
            assert result.response.status == 403
            assert camera.calls == ()
            assert camera.counters.strangers_refused == 1

    async def test_an_unknown_channel_is_not_found(self) -> None:
        async with joined() as (platform, _camera):
            call = await platform.invite(offer(30_000), channel="34020000001310000099")
            assert call.response.status == 404

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"", 400),
            (b"nonsense", 400),
            (offer(30_000).encode().replace(b"s=Play", b"s=Playback"), 404),
            (offer(30_000).encode().replace(b"m=video", b"m=audio"), 488),
            (offer(30_000).encode().replace(b"PS/90000", b"H264/90000"), 488),
            (offer(0).encode(), 488),
        ],
    )
    async def test_an_offer_it_cannot_meet_is_refused(self, body: bytes, status: int) -> None:
        async with joined() as (platform, camera):
            assert (await platform.invite(body)).response.status == status
            assert camera.calls == ()

    async def test_a_cancelled_call_never_streams(self) -> None:
        async with joined(faults=Faults(invite_delay_s=30)) as (platform, camera), udp_receiver() as receiver:
            inviting = asyncio.ensure_future(platform.invite(offer(receiver.port)))
            await camera.until(lambda: bool(camera.calls))
            inviting.cancel()
            await camera.until(lambda: not camera.calls)
            assert camera.counters.streams_started == 0
        assert receiver.packets == []


class TestFaults:
    async def test_a_vanished_camera_falls_silent_and_comes_back(self) -> None:
        async with joined(keepalive_s=0.1) as (platform, camera), udp_receiver() as receiver:
            await (await platform.invite(offer(receiver.port))).ack()
            await receiver.until_packets(10)
            await camera.vanish()
            await asyncio.sleep(0.05)
            seen = (len(receiver.packets), len(platform.messages), len(platform.byes))
            await asyncio.sleep(0.5)
            assert (len(receiver.packets), len(platform.messages), len(platform.byes)) == seen
            before = len(platform.registers)
            await camera.come_back()
            await registered(camera)
            assert len(platform.registers) == before + 2
            assert platform.registers[-1].headers.get("Call-ID") != platform.registers[0].headers.get(
                "Call-ID"
            )

    @pytest.mark.parametrize(
        ("faults", "answered_ssrc", "sent_ssrc"),
        [
            (Faults(), 200_000_017, 200_000_017),
            (Faults(omit_ssrc=True), None, 200_000_017),
            (Faults(answered_ssrc=42), 42, 42),
            (Faults(sent_ssrc=0), 200_000_017, 0),
        ],
        ids=["as offered", "no y=", "another y=", "always 0"],
    )
    async def test_ssrc_as_cameras_treat_it(
        self, faults: Faults, answered_ssrc: int | None, sent_ssrc: int
    ) -> None:
        async with joined(faults=faults) as (platform, _camera), udp_receiver() as receiver:
            call = await platform.invite(offer(receiver.port))
            await call.ack()
            packets = await receiver.until_packets(3)
        assert answered(call).ssrc == answered_ssrc
        assert {read_packet(packet).ssrc for packet in packets} == {sent_ssrc}

    async def test_a_stream_without_map_has_none(self) -> None:
        async with (
            joined(faults=Faults(omit_stream_map=True)) as (platform, _camera),
            udp_receiver() as receiver,
        ):
            await (await platform.invite(offer(receiver.port))).ack()
            packets = await receiver.until_packets(60)
        assert not any(b"\x00\x00\x01\xbc" in pack for pack in packs_of(packets))

    async def test_a_camera_that_answers_and_sends_nothing(self) -> None:
        async with joined(faults=Faults(send_nothing=True)) as (platform, camera), udp_receiver() as receiver:
            await (await platform.invite(offer(receiver.port))).ack()
            await camera.wait_streaming()
            await asyncio.sleep(0.2)
        assert receiver.packets == []

    @pytest.mark.parametrize(
        ("faults", "shown"),
        [
            (Faults(loss=0.3), lambda numbers: len(numbers) < max(numbers) - min(numbers) + 1),
            (Faults(duplicate=0.3), lambda numbers: len(set(numbers)) < len(numbers)),
            (Faults(reorder=0.3), lambda numbers: numbers != sorted(numbers)),
        ],
        ids=["loss", "duplicate", "reorder"],
    )
    async def test_a_bad_network_shows_in_the_sequence_numbers(
        self, faults: Faults, shown: Callable[[list[int]], bool]
    ) -> None:
        async with joined(faults=faults) as (platform, _camera), udp_receiver() as receiver:
            await (await platform.invite(offer(receiver.port))).ack()
            packets = await receiver.until_packets(100)
        numbers = [read_packet(packet).sequence for packet in packets]
        unwrapped = [number + 65536 if number < numbers[0] - 32768 else number for number in numbers]
        assert shown(unwrapped)

    async def test_two_cameras_can_claim_one_id(self) -> None:
        async with ScriptedPlatform() as platform:
            one = SimulatedCamera(camera_settings(platform, ScriptedSource()))
            two = SimulatedCamera(camera_settings(platform, ScriptedSource()))
            async with one, two:
                await registered(one)
                await registered(two)
                contacts = {request.headers.get("Contact") for request in platform.registers}
                assert len(contacts) == 2
