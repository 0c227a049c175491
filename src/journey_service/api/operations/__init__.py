"""Routes of jobs, health, data quality, and monitoring."""
