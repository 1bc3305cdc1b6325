"""Foreign stacks as programs: small mains of ours around libraries that nobody here wrote.

`scripts/build-peers.sh` builds them into build/peers (`make interop` runs it); without them their tests skip.
"""

import shutil
from pathlib import Path

PEERS = Path(__file__).resolve().parents[3] / "build" / "peers"


def peer(name: str) -> str | None:
    """The built program, None when it was not built."""
    path = PEERS / name
    return str(path) if path.is_file() else shutil.which(name)
