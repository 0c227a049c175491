"""The published contract: the OpenAPI document and its examples."""
