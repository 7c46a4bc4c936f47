"""Who calls, and what they may see and change.

    HTTP request, socket header ─▶ Presented ─▶ Authentication ─▶ Identity
    Identity, @auth rules ─▶ Policy ─▶ Access of a model and operation, Guards of fields

Each auth mode has a module; `schema.auth_rules` reads a model's rules, `policy` says what they mean for one caller.
"""
