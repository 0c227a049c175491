"""Storage of action plans, the outbox, campaigns, tasks, templates, webhook endpoints."""
