"""What entering a stage does: stage actions, action plans, templates, delivery."""
