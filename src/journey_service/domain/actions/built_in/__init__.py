"""What the service brings along for the actions of stages: the texts of the built-in templates."""
