"""The outbox, as writes fill it: entries, what they make of what waits already, and what they wait for."""
