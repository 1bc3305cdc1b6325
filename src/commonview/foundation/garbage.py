"""How the interpreter searches for cycles of objects in a process that serves."""

import gc

_YOUNG = 10_000
"""Objects made before the young ones are searched; a burst of requests makes and drops thousands."""


def settle() -> None:
    """Call when everything is started: what was made until now stays, and is never searched again.

    Modules, routes and tables are hundreds of thousands of objects. To search them takes a tenth of a second,
    in which nothing is answered, and it doubled what a registration with its three queries cost.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)
