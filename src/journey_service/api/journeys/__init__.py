"""Routes of journeys and their explanations."""
