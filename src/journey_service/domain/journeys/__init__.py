"""One customer's journey: facts, scores, the decision, and transitions."""
