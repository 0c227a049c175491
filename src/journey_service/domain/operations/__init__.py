"""Jobs, nightly runs and the worker's backlog as they are stored."""
