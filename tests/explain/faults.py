"""The catalogue of faulty captures, each with its verdict: (name, capture, cause, failing hop)."""

from __future__ import annotations

from tests.explain.session_faults import SESSIONS
from tests.explain.signalling_faults import SIGNALLING

FAULTS = [*SIGNALLING, *SESSIONS]
