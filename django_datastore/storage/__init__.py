"""The local truth: what is written to registered models, and what commits with it.

a person's write ─▶ capture ─▶ saves, setwise, bulk_creates, deletes ─▶ the row
                                                        └─▶ entries ─▶ outbox entry and change log
a merge (sync)   ─▶ rows, metadata ─▶ the row, what is known of the record, change log
"""
