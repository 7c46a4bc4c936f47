"""The wire: what is said to AppSync over HTTP and its socket, and what its answers mean. Knows no database.

`Endpoint` and `auth_for` say where to and as whom, `Documents` what to say; `AppSyncClient` says it over HTTP (sync),
`RealtimeConnection` listens (async). Whatever goes wrong leaves here as a class of `exceptions.py`. Only this room
names gql and httpx.
"""
