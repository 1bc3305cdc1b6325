"""How a fault becomes a capture with its verdict."""

from __future__ import annotations

from collections.abc import Callable

from commonview.explain import Cause, Hop
from tests.explain.script import Script

Fault = tuple[str, bytes, Cause, Hop]
"""Name, capture, cause, failing hop."""
Scripted = Callable[[Script], None]


def entering(faults: list[Fault]) -> Callable[..., Callable[[Scripted], Scripted]]:
    """A decorator that plays a script and enters what was captured into `faults`."""

    def fault(cause: Cause, hop: Hop, **more: object) -> Callable[[Scripted], Scripted]:
        def enter(scripted: Scripted) -> Scripted:
            script = Script(**more)  # type: ignore[arg-type]
            scripted(script)
            faults.append((scripted.__name__, script.capture(), cause, hop))
            return scripted

        return enter

    return fault
