"""Predicates are Django's `Q`. One tree, three readers: the ORM, the GraphQL filter, the match in memory.

The ORM's meaning is the truth: a comparison with null is false, and a negation turns it round. The other two follow it.
"""
