"""Records, as merges store them: rows, written set-wise or one by one, and what is known of each."""
