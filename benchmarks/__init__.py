"""What DataStore costs, as ratios: `make bench`, or `python -m benchmarks`.

    __main__ ─▶ measure (one process for each database) ─▶ saves · draining · base_sync · queries
                                                     serving (the local server)

Each row compares us with the same work done without us, in one run, in turns. Times differ from machine to machine; the
ratios much less.
"""
