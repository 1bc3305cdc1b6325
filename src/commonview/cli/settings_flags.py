"""The settings as command-line flags, each explained with its default and its variable."""

import argparse
import textwrap
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from commonview.foundation.settings import CONFIG_ENV, ENV_PREFIX, Settings, flag_default, group_of

_WIDTH = 78


def add_setting_flags(parser: argparse.ArgumentParser) -> None:
    """One flag for every setting, under the heading of its group."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=_wrapped(f"TOML file with settings by name. Variable: {CONFIG_ENV}"),
    )
    groups: dict[str, Any] = {}
    for name, field in Settings.model_fields.items():
        heading = group_of(name)
        if heading not in groups:
            groups[heading] = parser.add_argument_group(heading)
        groups[heading].add_argument(
            "--" + name.replace("_", "-"),
            dest=f"setting_{name}",
            metavar=_metavar(name, field.annotation),
            help=_wrapped(
                f"{field.description} Default: {flag_default(name)}. Variable: {ENV_PREFIX}{name.upper()}"
            ),
        )


def given_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given as flags, by field name."""
    return {
        name: value
        for name in Settings.model_fields
        if (value := getattr(arguments, f"setting_{name}", None)) is not None
    }


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text.replace("%", "%%"), _WIDTH))


def _metavar(name: str, annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return "|".join(str(choice) for choice in get_args(annotation))
    endings = {
        "_dir": "FOLDER",
        "_host": "HOST",
        "_url": "URL",
        "_s": "SECONDS",
        "_bytes": "BYTES",
        "_ms": "MS",
    }
    for ending, metavar in endings.items():
        if name.endswith(ending):
            return metavar
    return "NUMBER" if annotation is int else "TEXT"
