"""Amplify's schema language: models, fields, scalars, names and SDL. The one thing shared with the local server."""
