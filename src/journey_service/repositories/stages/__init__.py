"""Storage of stage maps and their versions."""
