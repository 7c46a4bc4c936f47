"""The three processors: mutation (out), sync (catch up), subscription (in)."""
