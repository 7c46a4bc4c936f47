"""AppSync on your desk: an AppSync-compatible server, a Django app of its own that knows nothing of the sync engine."""
