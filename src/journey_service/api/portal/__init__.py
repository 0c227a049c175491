"""The endpoints that the customer journey guide's own components call."""
