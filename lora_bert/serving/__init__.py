"""Answering over HTTP: the scheduler, the protocols that clients already speak, and the server."""
