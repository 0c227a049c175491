"""The HTTP server: limits and deadlines of connections, trusted proxies, shutdown."""
