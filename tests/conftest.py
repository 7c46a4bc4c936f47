"""Fixtures every room uses."""
