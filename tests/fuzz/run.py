"""Runs one target under atheris: `python -m tests.fuzz.run fuzz_sip CORPUS [libFuzzer options]`.

The target's own SEEDS are written into the folder CORPUS first: well-formed messages to begin from.
"""

import hashlib
import importlib
import sys
from pathlib import Path

import atheris


def main() -> None:
    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=["commonview"]):
        target = importlib.import_module(f"tests.fuzz.{name}")
    corpus = Path(sys.argv[1])
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in target.SEEDS:
        (corpus / f"seed-{hashlib.sha256(seed).hexdigest()[:16]}").write_bytes(seed)
    atheris.Setup(sys.argv, target.one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
