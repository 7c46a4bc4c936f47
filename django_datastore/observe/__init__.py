"""From storage to whoever watches.

storage ─▶ change log, in the writing transaction
              │ read past a cursor (`changes`), by one hub per process
              ▼
             hub ─▶ live_query (each distinct one evaluated once) ─▶ Python iterators, browsers
"""
