"""Documents: parsed, checked and compiled once per text, then filled from records. `executable` drives it."""
