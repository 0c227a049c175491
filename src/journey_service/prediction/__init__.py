"""Churn prediction: fits and evaluates survival curves of customers. Numpy and scipy; no I/O, no clock."""
