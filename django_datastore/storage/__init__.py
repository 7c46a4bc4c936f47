"""The local truth: what is written to registered models, and the one message each write sends.

save() · delete() · update() · bulk_create() ─▶ receivers, querysets ─▶ StorageMutation ─▶ outbox, observe
merger ─▶ rows ─▶ StorageMutation (mutator SYNC) ─▶ observe
"""
