"""Running the service: nightly runs, test clocks, health, retention, reconciliation, repair."""
