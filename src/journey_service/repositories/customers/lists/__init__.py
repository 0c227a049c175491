"""Lists of customers: filtered, sorted, searched and counted."""
