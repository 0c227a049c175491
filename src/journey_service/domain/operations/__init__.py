"""Values of the service in operation: jobs, nightly runs, backlog."""
