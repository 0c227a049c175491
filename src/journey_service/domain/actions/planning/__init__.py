"""Runs of stage actions: their steps, when these are due, and which of them a customer has had before."""
