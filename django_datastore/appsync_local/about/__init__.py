"""What the server tells visitors about itself: a page for browsers, text for others."""

from __future__ import annotations

from collections.abc import Mapping
from weakref import WeakKeyDictionary

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from django_datastore.appsync_local.about.amplify import YOUR_KEY, configuration
from django_datastore.appsync_local.about.examples import examples
from django_datastore.appsync_local.conf import API_KEY_MODE
from django_datastore.appsync_local.executable import Executable
from django_datastore.appsync_local.service import Service

_TEXT = """This is an AppSync-compatible GraphQL API (django_datastore.appsync_local).

POST {endpoint}
  with credentials ({modes}) and a JSON body such as {{"query": "...", "variables": {{}}}}
Subscriptions: a WebSocket to {realtime} with the subprotocol graphql-ws

{models}
"""
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 54rem; margin: 2rem auto; padding: 0 1rem; }
pre, code { font: 14px/1.45 ui-monospace, monospace; }
pre { background: #8881; padding: .7rem 1rem; border-radius: 6px; overflow-x: auto; white-space: pre-wrap; }
summary { cursor: pointer; } dt { margin-top: .8rem; } dd { margin: 0; }
:root { color-scheme: light dark; }
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Local AppSync</title>
<style>{style}</style>
</head>
<body>
<h1>Local AppSync</h1>
<p>This is an AppSync-compatible GraphQL API, served by <code>django_datastore.appsync_local</code>.
Whatever speaks with AWS AppSync speaks with it.</p>
<dl>
<dt>Endpoint</dt><dd><code>{endpoint}</code></dd>
<dt>Realtime</dt><dd><code>{realtime}</code></dd>
<dt>Auth modes</dt><dd>{modes}</dd>
</dl>
<h2>Talk to it</h2>
<p>With <a href="https://docs.amplify.aws/">Amplify</a> (aws-amplify v6):</p>
<pre>{amplify}</pre>
<p>With anything else, <code>POST</code> JSON; whoever runs the server has the key:</p>
<pre>{curl}</pre>
{models}
</body>
</html>
"""
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "Vary": "Accept",
    "X-Content-Type-Options": "nosniff",
}
_PROOFS = {API_KEY_MODE: f"x-api-key: {YOUR_KEY}", "AWS_IAM": "authorization: AWS4-HMAC-SHA256 YOUR_SIGNATURE"}
_models: WeakKeyDictionary[Executable, tuple[str, SafeString]] = WeakKeyDictionary()
"""What is the same on every visit: the models, as text and as HTML."""


def realtime_url(endpoint: str) -> str:
    """Where the sockets of a GraphQL URL go."""
    return f"ws{endpoint.removeprefix('http').rstrip('/')}/realtime"


def describe(service: Service, url: str, accept: str) -> tuple[bytes, Mapping[str, str]]:
    """What this is and how to talk to it, as the visitor's `Accept` wants it: the body and its headers."""
    endpoint = url.partition("?")[0]
    text, html = _models_of(service)
    modes = ", ".join(service.settings.auth_modes)
    facts = {"endpoint": endpoint, "realtime": realtime_url(endpoint), "modes": modes}
    if "text/html" not in accept.lower():
        body, kind = _TEXT.format(**facts, models=text), "text/plain"
    else:
        proof = _PROOFS.get(service.settings.AUTH_MODE, "authorization: YOUR_TOKEN")
        curl = f"curl {endpoint} -H '{proof}' -d '{{\"query\": \"{{ __typename }}\"}}'"
        amplify = configuration(service.settings, endpoint)
        style = SafeString(_STYLE)
        body, kind = format_html(_PAGE, **facts, amplify=amplify, curl=curl, style=style, models=html), "text/html"
    return body.encode(), {"Content-Type": f"{kind}; charset=utf-8", **_HEADERS}


def _models_of(service: Service) -> tuple[str, SafeString]:
    executable = service.executable
    if not service.settings.INTROSPECTION:
        return "", SafeString("")
    if executable not in _models:
        _models[executable] = _list_models(executable)
    return _models[executable]


def _list_models(executable: Executable) -> tuple[str, SafeString]:
    names = executable.api.schema.models
    found = {name: list(examples(executable.schema, executable.api, name)) for name in names}
    text = "\n".join(f"{name}: {', '.join(field for field, _ in documents)}" for name, documents in found.items())
    documents = {
        name: format_html_join("\n", "<dt><code>{}</code></dt><dd><pre>{}</pre></dd>", shown)
        for name, shown in found.items()
    }
    sections = format_html_join(
        "\n", "<details id={}><summary>{}</summary><dl>{}</dl></details>", ((it, it, documents[it]) for it in names)
    )
    return f"Models\n{text}", format_html("<h2>Models</h2>\n{}", sections)
