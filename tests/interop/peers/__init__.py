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


def java_peer() -> list[str] | None:
    """The command of the Java peers, None when they were not built or there is no Java."""
    jar, java = PEERS / "java" / "target" / "java-peers.jar", shutil.which("java")
    if java is None or not jar.is_file():
        return None
    return [java, "-Xmx256m", "-cp", f"{jar}:{jar.parent}/lib/*", "peers.Main"]
