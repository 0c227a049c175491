"""Routes of stage maps and their simulations."""
