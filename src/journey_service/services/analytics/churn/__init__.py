"""Churn predictions: the nightly fit, stored chances, what is predicted for a customer, and how well it held."""
