"""Storage of the event ledger, imports, and event histories."""
