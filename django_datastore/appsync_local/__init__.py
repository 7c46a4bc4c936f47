"""AppSync on your desk: an AppSync-compatible server, a Django app of its own that knows nothing of the sync engine.

HTTP    ─▶ views, asgi      ─▶ service ─▶ executable ─▶ resolvers ─▶ store ─▶ tables, models
sockets ─▶ consumers ─▶ realtime ─┘           │  ▲          └▶ conflict, filters
             ▲                                │  └ graphql: documents, selections, completion
             └── sockets ◀── broker ◀─────────┘  (relay: to other server processes)

transform   the API a data model gets          auth        who calls, and what they may do
about       what people are told               injection   faults and the journal of a test's server
transfer    load and dump                      tls         certificates
"""
