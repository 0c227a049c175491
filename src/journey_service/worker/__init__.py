"""The process that does what nobody waits for: due customers, nightly runs, long jobs, histories."""
