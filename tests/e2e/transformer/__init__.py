"""Amplify's own GraphQL transformer, and how to compare what it makes."""
