"""Storage of companies."""
