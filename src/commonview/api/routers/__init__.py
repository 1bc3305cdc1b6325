"""One router a room; each translates between HTTP and the verbs of that room, and decides nothing."""
