"""Customers: profiles, consents, export, and erasure."""
