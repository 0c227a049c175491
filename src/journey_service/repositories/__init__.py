"""Storage: the only SQL of the service. Rows in, domain values out."""
