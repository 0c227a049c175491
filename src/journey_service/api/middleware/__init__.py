"""ASGI middleware: response headers, request metrics, traces, and the access log."""
