"""What DataStore costs, as ratios: `make bench`, or `python -m benchmarks`.

    __main__ ─▶ checkouts ─▶ measure (a process for each part, database and checkout) ─▶ rows() of a part ─▶ table

    saves · set_wise · queries                     a write                      books: what is stored, and known of it
    base_sync · delta_sync · subscriptions         a merge                      bare_sync: the same work, bare
    memory                                         what a merge needs           bare_appsync: AppSync that costs nothing
    draining · serving · serving_delta · fan_out   the outbox, the local server appsync: the local server

Each row compares us with the same work done without us, in one run, in turns. Times differ from machine to machine; the
ratios much less.
"""
