"""`commonview simulate superior`: an upper platform that looks through whoever registers with it."""

import argparse
import asyncio
from collections.abc import Iterable
from typing import Final

from commonview.network.sip_endpoint import SipEndpointError
from commonview.simulator import cli
from commonview.simulator.errors import SimulatorError
from commonview.simulator.faults import Party, parse_faults
from commonview.simulator.settings import Faults
from commonview.simulator.superior import SimulatedSuperior, SuperiorSettings
from commonview.wire.gbid import VIDEO_CHANNEL_TYPES, classify

_DESCRIPTION: Final = f"""\
A simulated upper platform: it takes registrations, asks every subordinate for its catalogue, subscribes to
its changes, watches one camera for a few seconds, steers it, and says what became of each.

The password subordinates must know is read from --password-file or from {cli.PASSWORD_VARIABLE}."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `commonview simulate superior`."""
    parser.description = _DESCRIPTION
    parser.add_argument(
        "--listen",
        default="127.0.0.1:5070",
        metavar="HOST:PORT",
        help="own address, UDP and TCP (%(default)s)",
    )
    parser.add_argument("--server-id", default="34000000002000000001", help="own 20-digit id (%(default)s)")
    cli.add_password_argument(parser)
    parser.add_argument(
        "--digest", choices=("MD5", "SHA-256", "SM3"), default="MD5", help="of the challenge (%(default)s)"
    )
    parser.add_argument(
        "--look", type=cli.seconds, default=3.0, metavar="S", help="how long to watch (%(default)s)"
    )
    parser.add_argument("--once", action="store_true", help="end after the first report")
    cli.add_edition_argument(parser)
    cli.add_fault_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run until SIGINT or SIGTERM; raises `SimulatorError` with a sentence for the terminal."""
    if arguments.list_faults:
        return cli.list_faults(Party.SUPERIOR)
    host, port = cli.numeric_address(arguments.listen)
    settings = SuperiorSettings(
        password=cli.read_password(arguments.password_file),
        server_id=arguments.server_id,
        host=host,
        port=port,
        algorithm=arguments.digest,
        version=cli.EDITIONS[arguments.edition],
        look_s=arguments.look,
    )
    try:
        asyncio.run(_simulate(settings, parse_faults(arguments.faults, Party.SUPERIOR), once=arguments.once))
    except OSError as error:
        raise SimulatorError(f"cannot listen on {arguments.listen}: {error.strerror or error}") from error
    return 0


def pick_cameras(ids: Iterable[str]) -> list[str]:
    """The ids that name cameras."""
    return [one for one in ids if classify(one).type in VIDEO_CHANNEL_TYPES]


async def _simulate(settings: SuperiorSettings, faults: Faults, *, once: bool) -> None:
    stop = cli.stop_event()
    async with SimulatedSuperior(settings, faults=faults, report=cli.speak) as superior:
        cli.speak(f"an upper platform on {settings.host}:{superior.port}, Ctrl-C stops it")
        rounds = asyncio.ensure_future(_rounds(superior, once=once))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({rounds, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (rounds, stopping):
            task.cancel()
        await asyncio.gather(rounds, stopping, return_exceptions=True)


async def _rounds(superior: SimulatedSuperior, *, once: bool) -> None:
    """One round through every subordinate that has registered."""
    done: set[str] = set()

    def fresh() -> list[str]:
        return [one.device_id for one in superior.subordinates.values() if one.device_id not in done]

    while True:
        await superior.until(lambda: bool(fresh()), timeout_s=86_400.0)
        for device_id in fresh():
            done.add(device_id)
            try:
                report = await superior.round(device_id, pick_cameras)
            except (SimulatorError, SipEndpointError) as error:
                cli.speak(f"{device_id}: {error}")
                continue
            for line in report.lines():
                cli.speak(f"{device_id}: {line}")
            if once:
                return
