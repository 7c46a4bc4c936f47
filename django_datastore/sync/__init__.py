"""The sync engine: outbox and lanes, merger, processors.

local change    save() ─▶ storage ─▶ outbox ─▶ mutation processor ─▶ AppSync
                            ▲   └─▶ observe ─▶ browsers                 │
                            └────────────── merger ◀────────────────────┘ response
remote change   AppSync ─▶ subscription processor ─▶ merger ─▶ storage ─▶ observe ─▶ browsers
catch-up        AppSync ◀─ sync processor (base / delta) ─▶ merger ─▶ storage ─▶ observe
"""
