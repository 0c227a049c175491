"""Predictions of one customer from the fitted parameters of the company, without numpy."""
