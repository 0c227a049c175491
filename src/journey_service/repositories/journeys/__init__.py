"""Storage of customer relationships, transitions, and scores."""
