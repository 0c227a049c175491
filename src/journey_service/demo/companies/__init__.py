"""Businesses of the demo: settings, customers, staff and the actions of their stages."""
