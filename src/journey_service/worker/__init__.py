"""The worker process: polls for due customers, nightly runs, jobs, imports and actions, and runs them."""
