"""SIP without sockets: messages, fields, digest, transactions and dialogs (RFC 3261)."""
