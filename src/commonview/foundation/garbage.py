"""How the interpreter searches for cycles of objects in a process that serves."""

import gc
import time
from collections.abc import Callable, Mapping

_YOUNG = 10_000
"""Objects made before the young ones are searched; a burst of requests makes and drops thousands."""
_LONG_S = 0.05
_WHOLE = 2


class LongSearches:
    """After a search of everything that took too long, what it left is never searched again.

    A hundred thousand devices are millions of objects that stay. Whatever of them comes to be a cycle that
    nobody holds is not found any more: some kilobytes, against a server that stands still for a second.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._began = 0.0

    def __call__(self, phase: str, info: Mapping[str, int]) -> None:
        """See `gc.callbacks`."""
        if phase == "start":
            self._began = self._monotonic()
        elif info["generation"] == _WHOLE and self._monotonic() - self._began > _LONG_S:
            gc.freeze()


def settle() -> None:
    """Call when everything is started: what was made until now stays, and is never searched again.

    Modules, routes and tables are hundreds of thousands of objects. To search them takes a tenth of a second,
    in which nothing is answered, and it doubled what a registration with its three queries cost.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)
    if not any(isinstance(one, LongSearches) for one in gc.callbacks):
        gc.callbacks.append(LongSearches())
