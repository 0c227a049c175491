"""A multi-tenant customer journey service for appointment businesses."""
