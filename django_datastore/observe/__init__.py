"""From storage to whoever watches.

StorageMutation ─▶ changes (the log, in the writing transaction)
                      │ read past a cursor, by one hub per process
                      ▼
                     hub ─▶ live_query (each distinct one evaluated once) ─▶ Python iterators, browsers
"""
