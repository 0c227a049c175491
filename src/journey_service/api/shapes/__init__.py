"""What goes over the wire: built from domain values by `of`, read by pydantic."""
