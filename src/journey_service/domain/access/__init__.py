"""Who acts: the kinds of actor that a change is attributed to."""
