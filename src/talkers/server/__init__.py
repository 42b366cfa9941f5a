"""Talkers for other programs: a small HTTP API, and live faces over a WebSocket.

`app.make_app` makes the application, `run.serve` runs it. The extra `serve` brings what is needed.
"""
