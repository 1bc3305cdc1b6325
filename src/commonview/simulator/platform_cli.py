"""`commonview simulate platform`: a lower platform of any number of channels until Ctrl-C."""

import argparse
import asyncio
from datetime import UTC, datetime
from typing import Final

from commonview.simulator import cli
from commonview.simulator.errors import SimulatorError
from commonview.simulator.faults import parse_faults
from commonview.simulator.frames import FrameSource
from commonview.simulator.names import camera_name
from commonview.simulator.platform import MOST_CHANNELS, PlatformSettings, simulated_platform
from commonview.simulator.recorder import Recorder, past_day
from commonview.simulator.settings import Faults, Server
from commonview.simulator.sources import open_painter, open_scene

_DESCRIPTION: Final = f"""\
A simulated lower platform: it registers with a platform, lists any number of channels in a tree of regions
and organisations, and answers calls, playback and control for each of them. A few channels draw a street; the
others show the first one's pictures.

The registration password is read from --password-file or from {cli.PASSWORD_VARIABLE}, never from a flag."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `commonview simulate platform`."""
    parser.description = _DESCRIPTION
    cli.add_server_arguments(parser)
    parser.add_argument(
        "--channels", type=cli.positive, default=1000, metavar="N", help="cameras listed (%(default)s)"
    )
    parser.add_argument(
        "--drawn", type=cli.positive, default=4, metavar="N", help="of them drawn (%(default)s)"
    )
    parser.add_argument(
        "--platform-id", default="34020100002000000001", help="its 20-digit id, type 200 (%(default)s)"
    )
    parser.add_argument("--page-items", type=cli.positive, metavar="N", help="catalogue items in one message")
    parser.add_argument(
        "--transport", choices=("udp", "tcp"), default="tcp", help="for signalling (%(default)s)"
    )
    parser.add_argument(
        "--keepalive", type=cli.seconds, default=60.0, metavar="S", help="interval (%(default)s)"
    )
    parser.add_argument("--local-host", metavar="ADDRESS", help="own address (found from the route)")
    cli.add_edition_argument(parser)
    cli.add_fault_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Simulate until SIGINT or SIGTERM; raises `SimulatorError` with a sentence for the terminal."""
    if arguments.list_faults:
        return cli.list_faults()
    if arguments.channels > MOST_CHANNELS:
        raise SimulatorError(f"--channels is at most {MOST_CHANNELS}")
    host, port = cli.numeric_address(arguments.server)
    faults = parse_faults(arguments.faults)
    password = cli.read_password(arguments.password_file)
    try:
        settings = PlatformSettings(
            server=Server(host=host, port=port, server_id=arguments.server_id, domain=arguments.domain),
            password=password,
            platform_id=arguments.platform_id,
            channels=arguments.channels,
            page_items=arguments.page_items,
            transport=arguments.transport,
            keepalive_s=arguments.keepalive,
            local_host=arguments.local_host or cli.own_address(host, port),
            version=cli.EDITIONS[arguments.edition],
        )
        asyncio.run(_simulate(settings, min(arguments.drawn, arguments.channels), faults))
    except (ValueError, OSError) as error:
        raise SimulatorError(f"cannot simulate: {error}") from error
    return 0


async def _simulate(settings: PlatformSettings, drawn: int, faults: Faults) -> None:
    stop = cli.stop_event()
    sources: list[FrameSource] = [
        open_scene(camera_name(number), size=(640, 360), fps=10, seed=number) for number in range(drawn)
    ]
    recorder = Recorder(past_day(datetime.now(UTC)), open_painter(camera_name(0)))
    server = settings.server
    cli.speak(f"a platform of {settings.channels} channels for {server.host}:{server.port}, Ctrl-C stops it")
    try:
        async with simulated_platform(settings, sources, recorder=recorder, faults=faults, report=cli.speak):
            await stop.wait()
            cli.speak("stopping: ending streams and unregistering")
    finally:
        await asyncio.gather(*(source.close() for source in sources))
    cli.speak("stopped")
