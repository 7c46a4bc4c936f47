"""The local truth: what is written to registered models, and what commits with it.

a person's write ─▶ capture ─▶ the row
                       └─────▶ outbox ─▶ its entry, and its row in the change log
a merge (sync)   ─▶ records ─▶ the row, and what is known of the record
"""
