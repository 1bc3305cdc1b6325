"""What our own endpoint and media node saw, kept for a while, redacted, and told as stories on demand."""

from commonview.network.trace.recorder import TraceRecorder
from commonview.network.trace.service import ExchangeUnknown, TraceService, as_pcap, as_text

__all__ = ["ExchangeUnknown", "TraceRecorder", "TraceService", "as_pcap", "as_text"]
