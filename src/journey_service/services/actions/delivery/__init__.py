"""Delivery: claims due actions from the outbox, sends them, and publishes outbound events."""
