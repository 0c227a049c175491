"""Simulation of a stage map before it is activated: linter, preview, back-test."""
