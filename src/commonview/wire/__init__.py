"""Protocol vocabulary without I/O: SIP, SDP, MANSCDP, identifiers, character sets."""
