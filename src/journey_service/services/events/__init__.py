"""Events: ingest, its batching, and imports."""
