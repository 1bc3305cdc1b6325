"""A person at a real browser, the server and cameras as processes."""
