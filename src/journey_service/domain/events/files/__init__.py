"""Files of imports: their headers, records and lines."""
