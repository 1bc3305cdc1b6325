"""`commonview simulate cameras`: simulated cameras until Ctrl-C."""

import argparse
import asyncio
import ipaddress
import os
import re
import signal
import socket
from datetime import datetime
from pathlib import Path
from typing import Final

from commonview.simulator.errors import SimulatorError
from commonview.simulator.faults import CATALOGUE, Party, parse_faults
from commonview.simulator.fleet import FleetSettings, SimulatedFleet
from commonview.simulator.settings import Faults, Server
from commonview.wire.version import GbVersion

PASSWORD_VARIABLE: Final = "COMMONVIEW_DEVICE_PASSWORD"  # noqa: S105  # the variable's name
EDITIONS: Final = {"2016": GbVersion.V2016, "2022": GbVersion.V2022}
_SIZE = re.compile(r"([1-9][0-9]{1,3})x([1-9][0-9]{1,3})")
_DESCRIPTION: Final = f"""\
Simulated GB/T 28181 cameras: they register with a platform, keep alive, answer queries and send video on
request. Without --video each one draws its own street with a running clock.

The registration password is read from --password-file or from {PASSWORD_VARIABLE}, never from a flag."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `commonview simulate cameras`."""
    parser.description = _DESCRIPTION
    add_server_arguments(parser)
    parser.add_argument(
        "--count", type=positive, default=1, metavar="N", help="how many cameras (%(default)s)"
    )
    parser.add_argument(
        "--channels-per-device",
        type=positive,
        default=1,
        metavar="N",
        help="video inputs of each (%(default)s)",
    )
    parser.add_argument(
        "--first-id", default="34020000001320000001", help="id of the first camera (%(default)s)"
    )
    parser.add_argument(
        "--name-prefix", metavar="TEXT", help="name them TEXT 1, TEXT 2, ... instead of by street"
    )
    parser.add_argument(
        "--transport", choices=("udp", "tcp", "tls"), default="udp", help="for signalling (%(default)s)"
    )
    parser.add_argument(
        "--tls-ca", type=Path, metavar="FILE", help="who signed the platform's certificate, as PEM"
    )
    parser.add_argument("--keepalive", type=seconds, default=60.0, metavar="S", help="interval (%(default)s)")
    parser.add_argument(
        "--expires", type=positive, default=3600, metavar="S", help="of a registration (%(default)s)"
    )
    parser.add_argument(
        "--local-host", metavar="ADDRESS", help="own address (found from the route to the server)"
    )
    parser.add_argument(
        "--video", type=Path, metavar="FILE", help="send this file, looped (MP4, MKV, AVI, TS)"
    )
    parser.add_argument(
        "--codec",
        choices=("as-is", "h264", "h265"),
        default="as-is",
        help="as-is keeps H.264 and H.265 and re-encodes the rest to H.264 (%(default)s)",
    )
    parser.add_argument(
        "--size", type=_size, default=(1280, 720), metavar="WxH", help="of a drawn street (1280x720)"
    )
    add_fault_arguments(parser)
    add_edition_argument(parser)
    parser.add_argument("--mobile", action="store_true", help="drive a ring road and tell positions")
    parser.add_argument(
        "--alarm-every", type=seconds, metavar="S", help="raise a motion alarm at the first camera every S"
    )
    parser.add_argument(
        "--sub", action="store_true", help="have a sub stream of its own: small, and in H.264"
    )
    parser.add_argument(
        "--sound",
        choices=("none", "g711a", "g711u", "aac"),
        default="none",
        help="that a drawn street makes (%(default)s)",
    )
    parser.add_argument("--fps", type=positive, default=15, help="of a drawn street (%(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Simulate until SIGINT or SIGTERM; raises `SimulatorError` with a sentence for the terminal."""
    if arguments.list_faults:
        return list_faults()
    host, port = numeric_address(arguments.server)
    fleet = FleetSettings(
        server=Server(host=host, port=port, server_id=arguments.server_id, domain=arguments.domain),
        password=read_password(arguments.password_file),
        first_id=arguments.first_id,
        count=arguments.count,
        channels_per_device=arguments.channels_per_device,
        name_prefix=arguments.name_prefix,
        transport=arguments.transport,
        local_host=arguments.local_host or own_address(host, port),
        expires_s=arguments.expires,
        keepalive_s=arguments.keepalive,
        video=arguments.video,
        codec=arguments.codec,
        size=arguments.size,
        fps=arguments.fps,
        sound=arguments.sound,
        sub=arguments.sub,
        version=EDITIONS[arguments.edition],
        mobile=arguments.mobile,
        tls_ca=arguments.tls_ca,
    )
    try:
        asyncio.run(_simulate(fleet, parse_faults(arguments.faults), arguments.alarm_every))
    except (ValueError, OSError) as error:
        raise SimulatorError(f"cannot simulate: {error}") from error
    return 0


async def _simulate(settings: FleetSettings, faults: Faults, alarm_every_s: float | None) -> None:
    stop = stop_event()
    server = settings.server
    speak(f"{settings.count} simulated cameras for {server.host}:{server.port}, Ctrl-C stops them")
    async with SimulatedFleet(settings, faults=faults, report=speak) as fleet:
        if alarm_every_s is None:
            await stop.wait()
        while alarm_every_s is not None and not await _set_within(stop, alarm_every_s):
            fleet.cameras[0].raise_alarm()
        speak("stopping: ending streams and unregistering")
    speak("stopped")


def stop_event() -> asyncio.Event:
    """Set by SIGINT and SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that say where to register, and with which password."""
    parser.add_argument(
        "--server", default="127.0.0.1:5060", metavar="HOST:PORT", help="the platform (%(default)s)"
    )
    parser.add_argument("--server-id", default="34020000002000000001", help="its 20-digit id (%(default)s)")
    parser.add_argument("--domain", default="3402000000", help="its SIP domain (%(default)s)")
    add_password_argument(parser)


def add_password_argument(parser: argparse.ArgumentParser) -> None:
    """The flag that names the file of the password."""
    parser.add_argument(
        "--password-file", type=Path, metavar="FILE", help="file holding the registration password"
    )


def add_edition_argument(parser: argparse.ArgumentParser) -> None:
    """The flag that chooses the edition of the standard."""
    parser.add_argument(
        "--edition", choices=tuple(EDITIONS), default="2022", help="edition of the standard (%(default)s)"
    )


def add_fault_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that choose bad behaviour."""
    parser.add_argument("--faults", default="", metavar="A,B", help="misbehave like this; see --list-faults")
    parser.add_argument(
        "--list-faults", action="store_true", help="list the faults of the field by name, and end"
    )


def list_faults(party: Party = Party.DEVICE) -> int:
    """Print what this party can do wrong."""
    for entry in CATALOGUE:
        if party not in entry.parties:
            continue
        number = f"{entry.trap:>2}" if entry.trap else "  "
        print(f"{entry.fault.value:<28} {number}  {entry.en}\n{'':<32} {entry.zh}")  # noqa: T201  # the command speaks
    return 0


def speak(line: str) -> None:
    """Say something on the terminal."""
    print(f"{datetime.now().astimezone():%H:%M:%S} {line}", flush=True)  # noqa: T201  # the command speaks


def read_password(file: Path | None) -> str:
    """The password of a file, or of the environment. Raises `SimulatorError`."""
    if file is None:
        password = os.environ.get(PASSWORD_VARIABLE, "")
        if not password:
            raise SimulatorError(f"no password: give --password-file FILE or set {PASSWORD_VARIABLE}")
        return password
    try:
        password = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SimulatorError(f"cannot read the password file {file}: {error}") from error
    if not password:
        raise SimulatorError(f"the password file {file} is empty")
    return password


def numeric_address(text: str) -> tuple[str, int]:
    """HOST:PORT, the host resolved: signalling flows are between numeric addresses."""
    host, colon, port = text.rpartition(":")
    host = host.strip("[]")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise SimulatorError(f"--server {text!r} is not HOST:PORT")
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_DGRAM)
    except OSError as error:
        raise SimulatorError(f"cannot resolve {host!r}: {error.strerror or error}") from error
    address = ipaddress.ip_address(str(found[0][4][0]))
    if address.is_unspecified:  # a server bound to every address is reached on this machine's own
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return str(address), int(port)


def own_address(host: str, port: int) -> str:
    """The address this machine would use towards the server; nothing is sent."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, port))
        except OSError as error:
            raise SimulatorError(f"no route to {host}: {error.strerror or error}") from error
        return str(probe.getsockname()[0])


def positive(text: str) -> int:
    """A number from 1. Raises `ArgumentTypeError`."""
    value = int(text) if text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return value


def seconds(text: str) -> float:
    """Seconds between 0.1 and a day. Raises `ArgumentTypeError`."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds between 0.1 and 86400")
    return value


def _size(text: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(text)
    width, height = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 320 <= width <= 3840 or not 240 <= height <= 2160 or width % 2 or height % 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not an even WxH from 320x240 to 3840x2160")
    return width, height
