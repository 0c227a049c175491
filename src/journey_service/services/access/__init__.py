"""Credentials, browser sessions, and the audit log."""
