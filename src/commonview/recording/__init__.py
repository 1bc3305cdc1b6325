"""Central recordings."""
