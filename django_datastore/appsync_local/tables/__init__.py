"""What the data source is made of: its statements, its indexes and its time. Only `store` calls it."""
