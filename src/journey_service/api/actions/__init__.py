"""Routes of actions, campaigns, tasks, templates, webhook endpoints, and the event stream."""
