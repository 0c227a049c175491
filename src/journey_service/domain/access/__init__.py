"""Roles, scopes and actors; API keys and audit entries as they are stored."""
