"""Sources: webhooks of other systems, how they are signed, and how they become events."""
