"""Actions: campaigns, tasks, templates, delivery, webhooks, event stream."""
