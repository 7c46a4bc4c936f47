"""Models with a column of every kind. Not registered: tests introspect them with the types they need."""
