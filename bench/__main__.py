"""Run every benchmark, or those named, in turn, and say on which machine: `python -m bench [NAME ...]`.

What begins with a dash is for a single named one: `python -m bench fleet --devices 100000`.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NOT_BENCHMARKS = {"__init__", "__main__"}


def machine() -> str:
    """Cores, memory and kernel of this machine, for the head of a report."""
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    kernel = platform.release().split("-")[0]
    return f"{os.cpu_count()} cores ({cpu}), {pages * page / 2**30:.0f} GiB, Linux {kernel}"


def main() -> int:
    known = sorted(
        path.stem
        for path in HERE.glob("*.py")
        if path.stem not in NOT_BENCHMARKS and not path.stem.startswith("_")
    )
    dash = next((at for at, word in enumerate(sys.argv) if at and word.startswith("-")), len(sys.argv))
    wanted, options = sys.argv[1:dash] or known, sys.argv[dash:]
    if options and len(wanted) != 1:
        sys.exit(f"{options[0]} is for one benchmark; name it")
    if unknown := set(wanted) - set(known):
        sys.exit(f"no such benchmark: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    print(f"machine: {machine()}; Python {platform.python_version()}")
    failed = []
    for name in wanted:
        print(f"\n== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"bench.{name}", *options], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
