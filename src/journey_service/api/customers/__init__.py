"""Routes of customers and their privacy."""
