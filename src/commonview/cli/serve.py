"""`commonview serve`."""

import argparse
import sys

from commonview.cli.settings_flags import add_setting_flags, given_settings
from commonview.foundation.settings import load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Every setting is a flag."""
    parser.description = (
        "Run the server: console, API, SIP signalling and media in one process.\n"
        "A flag wins over its variable, a variable over the TOML file, the file over the default."
    )
    add_setting_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    settings = load_settings(given_settings(arguments), config=arguments.config)
    # Loaded only now: a wrong setting is told without waiting for the whole server to be imported.
    import uvloop

    from commonview.api.server import Ready, serve
    from commonview.foundation.logs import set_up_logging

    set_up_logging(settings.log_level, settings.log_format)

    def announce(ready: Ready) -> None:
        print(ready.announcement(), file=sys.stdout, flush=True)  # noqa: T201 - the command line speaks

    uvloop.run(serve(settings, on_ready=announce))
    return 0
