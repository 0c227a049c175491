"""Storage of API keys, browser sessions, the audit log, and encrypted secrets."""
