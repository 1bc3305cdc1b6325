"""`python -m commonview.cli.settings_document > docs/settings.md`."""

import sys

from commonview.foundation.settings import ENV_PREFIX, Settings, flag_default, group_of

_HEAD = """\
# Settings

Every setting can be given as a flag of `commonview serve`, as an environment variable, or by name in a TOML
file (`--config FILE` or `COMMONVIEW_CONFIG`). A flag wins over its variable, a variable over the file, the
file over the default. `commonview serve --help` says the same as this page, which is made from the program:
`python -m commonview.cli.settings_document > docs/settings.md`.

Several instances run side by side on one machine when each has its own `data_dir`, `http_port`, `media_port`,
`sip_port` and range `rtp_port_min` to `rtp_port_max`. A port of 0 picks a free one and tells it at start.

```toml
# commonview.toml
data_dir = "/var/lib/commonview"
sip_host = "192.0.2.10"
rtp_host = "192.0.2.10"
http_host = "192.0.2.10"
media_host = "192.0.2.10"
```
"""


def settings_document() -> str:
    """The page, in Markdown."""
    lines = [_HEAD]
    heading = None
    for name, field in Settings.model_fields.items():
        if group_of(name) != heading:
            heading = group_of(name)
            lines += [
                f"## {heading}",
                "",
                "| Name, flag, variable | Default | Meaning |",
                "| --- | --- | --- |",
            ]
        flag = "--" + name.replace("_", "-")
        names = f"`{name}`<br>`{flag}`<br>`{ENV_PREFIX}{name.upper()}`"
        lines.append(
            f"| {names} | `{flag_default(name)}` | {str(field.description).replace('|', chr(92) + '|')} |"
        )
        following = list(Settings.model_fields)[list(Settings.model_fields).index(name) + 1 :]
        if not following or group_of(following[0]) != heading:
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(settings_document())
