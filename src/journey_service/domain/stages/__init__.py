"""The stage map: stages, rules and their compiled form, and changes of a map."""
