"""Routes of API keys, sessions, sign-in, and the audit log."""
