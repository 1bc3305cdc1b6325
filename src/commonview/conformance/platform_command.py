"""`commonview conformance platform`: register at a platform and put it to the test."""

from __future__ import annotations

import argparse
import asyncio
import ssl
from typing import Final

from commonview.conformance.errors import ConformanceError
from commonview.conformance.model import Report
from commonview.conformance.platform_suite import PlatformOptions, examine_platform
from commonview.conformance.terminal import (
    PASSWORD_VARIABLE,
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
from commonview.conformance.visitor import VisitorSettings
from commonview.network.sip_tls import client_context
from commonview.wire.gbid import is_usable

_DESCRIPTION: Final = """\
Put a GB/T 28181 platform to the test. The tester plays a device: make it known to the platform first, with
its id and password. It registers, keeps alive, answers what it is asked, sends an alarm, and leaves. Writes a
report as HTML and JSON.

With --watch S somebody watches its channel on the platform; no picture is sent. With --allow-hostile
malformed messages are sent as well: never do that to a platform in use.

Exit status 0 when everything that the standard says shall be held, 1 otherwise, 2 for misuse."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.description = _DESCRIPTION
    parser.add_argument("--target", required=True, metavar="HOST:PORT", help="the platform's SIP address")
    parser.add_argument("--server-id", default="34020000002000000001", help="its 20-digit id (%(default)s)")
    parser.add_argument("--domain", metavar="DOMAIN", help="its SIP domain (first ten digits of the id)")
    parser.add_argument("--device-id", default="34020000001320009999", help="the tester's id (%(default)s)")
    parser.add_argument("--channel-id", default="34020000001310009999", help="of its channel (%(default)s)")
    parser.add_argument("--local-host", metavar="ADDRESS", help="own address (found)")
    parser.add_argument(
        "--watch", type=seconds, default=0.0, metavar="S", help="wait this long for somebody to watch"
    )
    parser.add_argument("--allow-hostile", action="store_true", help="send malformed messages as well")
    add_shared_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Test, report; the exit status."""
    try:
        paths = report_paths(arguments, "platform")
        report = asyncio.run(_examine(arguments, _settings(arguments)))
        write_report(report, paths, arguments.language)
    except ConformanceError as error:
        return complain(error)
    Terminal(arguments.language).summary(report, paths)
    return status_of(report)


def _settings(arguments: argparse.Namespace) -> VisitorSettings:
    host, port = numeric_address(arguments.target, "--target")
    for flag, identifier in (
        ("--server-id", arguments.server_id),
        ("--device-id", arguments.device_id),
        ("--channel-id", arguments.channel_id),
    ):
        if not (is_usable(identifier) and len(identifier) == 20 and identifier.isdigit()):
            raise ConformanceError(f"{flag} {identifier!r} does not have 20 digits")
    password = read_password(arguments.password_file)
    if password is None:
        raise ConformanceError(f"no password: give --password-file FILE or set {PASSWORD_VARIABLE}")
    return VisitorSettings(
        host=host,
        port=port,
        server_id=arguments.server_id,
        domain=arguments.domain or arguments.server_id[:10],
        device_id=arguments.device_id,
        channel_id=arguments.channel_id,
        password=password,
        local_host=arguments.local_host or own_address(host, port),
        transport=arguments.transport,
        version=edition_of(arguments),
        tls=_tls(arguments),
    )


def _tls(arguments: argparse.Namespace) -> ssl.SSLContext | None:
    if arguments.transport != "tls":
        return None
    try:
        return client_context(arguments.ca, arguments.certificate, arguments.key)
    except (OSError, ssl.SSLError) as error:
        raise ConformanceError(f"cannot use the certificate: {error}") from error


async def _examine(arguments: argparse.Namespace, settings: VisitorSettings) -> Report:
    terminal = Terminal(arguments.language)
    options = PlatformOptions(invite_s=arguments.watch, allow_hostile=arguments.allow_hostile)
    terminal.say(
        f"Testing {settings.host}:{settings.port} as device {settings.device_id}, "
        f"channel {settings.channel_id}; Ctrl-C ends with a report.",
        f"以设备 {settings.device_id}、通道 {settings.channel_id} 测试 {settings.host}:{settings.port}; "
        "Ctrl-C 结束并写出报告。",
    )
    try:
        return await examine_platform(settings, options, progress=terminal.progress, stop=stop_on_signal())
    finally:
        terminal.stop()
