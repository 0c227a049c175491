"""Storage of action plans, the outbox, outbound events, campaigns, tasks, templates and endpoints."""
