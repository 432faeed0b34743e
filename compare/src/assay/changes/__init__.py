"""Change requests as patches: what each asks of all layers, and what one layer needs to answer it."""
