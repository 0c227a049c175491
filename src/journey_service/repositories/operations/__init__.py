"""Storage of jobs and due work; queries of health, reconciliation, and data quality."""
