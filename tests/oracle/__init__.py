"""Oracles: slow, literal and independent implementations of DOMAIN.md to compare the service with."""
