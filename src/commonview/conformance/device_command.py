"""`commonview conformance device`: wait for a device and put it to the test."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import ssl
from pathlib import Path
from typing import Final

from commonview.conformance.bench import DeviceOptions
from commonview.conformance.checks_device import DEVICE_CHECKS
from commonview.conformance.device_suite import examine_device
from commonview.conformance.errors import ConformanceError
from commonview.conformance.model import Report
from commonview.conformance.station import Station, StationSettings
from commonview.conformance.terminal import (
    Terminal,
    add_shared_arguments,
    complain,
    edition_of,
    numeric_address,
    own_address,
    read_password,
    report_paths,
    seconds,
    status_of,
    stop_on_signal,
    write_report,
)
from commonview.network.sip_tls import server_context
from commonview.wire.gbid import is_usable

_DESCRIPTION: Final = """\
Put a GB/T 28181 device to the test. The tester plays the platform: enter its address, id, domain and password
in the device, which then registers and is asked everything the edition has. Writes a report as HTML and JSON.

Without leave nothing is moved or changed: --allow-control moves the head and switches guard and recording,
--allow-config writes settings back as they were read, --allow-destructive formats, upgrades and restarts.

Exit status 0 when everything that the standard says shall be held, 1 otherwise, 2 for misuse."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.description = _DESCRIPTION
    parser.add_argument(
        "--target", metavar="ID", help="the device's 20-digit id (default: the first that proves itself)"
    )
    parser.add_argument(
        "--listen", default="0.0.0.0:5060", metavar="HOST:PORT", help="where to wait (%(default)s)"
    )
    parser.add_argument("--media-host", metavar="ADDRESS", help="where the device sends media (found)")
    parser.add_argument("--server-id", default="34020000002000000001", help="the tester's id (%(default)s)")
    parser.add_argument("--domain", metavar="DOMAIN", help="SIP domain (first ten digits of the id)")
    parser.add_argument("--channel", metavar="ID", help="the channel to call (first camera of the catalogue)")
    parser.add_argument(
        "--wait", type=seconds, default=300.0, metavar="S", help="for the device to register (%(default)g)"
    )
    parser.add_argument("--watch", type=seconds, default=5.0, metavar="S", help="each stream (%(default)g)")
    parser.add_argument(
        "--unregister",
        type=seconds,
        default=0.0,
        metavar="S",
        help="at the end, wait this long for somebody to switch the device off",
    )
    parser.add_argument(
        "--only", default="", metavar="GROUPS", help="as register,catalog,live (default: all)"
    )
    parser.add_argument("--allow-control", action="store_true", help="move and switch, and undo it")
    parser.add_argument("--allow-config", action="store_true", help="write settings back as they were read")
    parser.add_argument("--allow-destructive", action="store_true", help="format, upgrade, restart")
    parser.add_argument("--firmware", type=Path, metavar="FILE", help="for the upgrade; the tester serves it")
    parser.add_argument("--firmware-url", default="", metavar="URL", help="or where it lies")
    add_shared_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Test, report; the exit status."""
    try:
        paths = report_paths(arguments, "device")
        settings = _settings(arguments)
        report = asyncio.run(_examine(arguments, settings))
        write_report(report, paths, arguments.language)
    except ConformanceError as error:
        return complain(error)
    Terminal(arguments.language).summary(report, paths)
    return status_of(report)


def _settings(arguments: argparse.Namespace) -> StationSettings:
    host, port = numeric_address(arguments.listen, "--listen", any_port=True)
    for flag, identifier in (("--server-id", arguments.server_id), ("--target", arguments.target)):
        if identifier is not None and not (is_usable(identifier) and len(identifier) == 20):
            raise ConformanceError(f"{flag} {identifier!r} does not have 20 digits")
    domain = arguments.domain or arguments.server_id[:10]
    if not (domain[:8].isdigit() and len(domain) >= 8):
        raise ConformanceError(f"--domain {domain!r} does not begin with eight digits")
    # Announced where nothing better is known; the tester listens on the address given all the same.
    reached = own_address("192.0.2.1", 9) if host in ("0.0.0.0", "::") else host  # noqa: S104 - never bound
    return StationSettings(
        server_id=arguments.server_id,
        domain=domain,
        password=read_password(arguments.password_file) or secrets.token_urlsafe(9),
        host=host,
        port=port,
        media_host=arguments.media_host or reached,
        version=edition_of(arguments),
        transport=arguments.transport,
        target=arguments.target,
        tls=_tls(arguments),
    )


def _tls(arguments: argparse.Namespace) -> ssl.SSLContext | None:
    if arguments.transport != "tls":
        return None
    if arguments.certificate is None or arguments.key is None:
        raise ConformanceError("--transport tls needs --certificate and --key")
    try:
        return server_context(arguments.certificate, arguments.key, arguments.ca)
    except (OSError, ssl.SSLError) as error:
        raise ConformanceError(f"cannot use the certificate: {error}") from error


async def _examine(arguments: argparse.Namespace, settings: StationSettings) -> Report:
    terminal = Terminal(arguments.language)
    options = DeviceOptions(
        channel=arguments.channel,
        wait_s=arguments.wait,
        watch_s=arguments.watch,
        unregister_s=arguments.unregister,
        allow_control=arguments.allow_control,
        allow_config=arguments.allow_config,
        allow_destructive=arguments.allow_destructive,
        firmware_url=arguments.firmware_url,
        firmware=_package(arguments.firmware),
        only=_groups(arguments.only),
    )
    given = read_password(arguments.password_file) is not None

    def ready(station: Station) -> None:
        port = station.tls_port if settings.transport == "tls" else station.port
        shown = "(as given)" if given else settings.password
        shown_zh = "(如所给)" if given else settings.password
        who = settings.target or "any"
        terminal.say(
            f"Enter this in the device ({who}):\n"
            f"  server address  {settings.media_host}\n"
            f"  port            {port} ({settings.transport.upper()})\n"
            f"  server id       {settings.server_id}\n  domain          {settings.domain}\n"
            f"  password        {shown}\nWaiting up to {options.wait_s:g} s; Ctrl-C ends with a report.",
            f"请在设备 ({settings.target or '任意'}) 中填写:\n"
            f"  服务器地址  {settings.media_host}\n  端口        {port} ({settings.transport.upper()})\n"
            f"  服务器编码  {settings.server_id}\n  域          {settings.domain}\n"
            f"  密码        {shown_zh}\n最多等待 {options.wait_s:g} 秒; Ctrl-C 结束并写出报告。",
        )

    try:
        return await examine_device(
            settings, options, progress=terminal.progress, ready=ready, stop=stop_on_signal()
        )
    finally:
        terminal.stop()


def _package(file: Path | None) -> bytes:
    if file is None:
        return b""
    try:
        package = file.read_bytes()
    except OSError as error:
        raise ConformanceError(f"cannot read --firmware {file}: {error.strerror or error}") from error
    if not package:
        raise ConformanceError(f"--firmware {file} is empty")
    return package


def _groups(text: str) -> tuple[str, ...]:
    known = {each.group for each in DEVICE_CHECKS}
    chosen = tuple(part.strip() for part in text.split(",") if part.strip())
    for group in chosen:
        if group not in known:
            raise ConformanceError(f"--only {group!r}: there are {', '.join(sorted(known))}")
    return chosen
