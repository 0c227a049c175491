"""A customer's journey: facts, scores, decisions and transitions."""
