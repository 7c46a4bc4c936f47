from __future__ import annotations

import pytest

from django_datastore.appsync.endpoint import Endpoint
from django_datastore.exceptions import ConfigurationError

AWS = "abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    ("url", "realtime_url", "host"),
    [
        # AppSync has a host of its own for sockets; the path stays
        (
            f"https://{AWS}.appsync-api.us-east-1.amazonaws.com/graphql",
            f"wss://{AWS}.appsync-realtime-api.us-east-1.amazonaws.com/graphql",
            f"{AWS}.appsync-api.us-east-1.amazonaws.com",
        ),
        # in China too
        (
            f"https://{AWS}.appsync-api.cn-north-1.amazonaws.com.cn/graphql",
            f"wss://{AWS}.appsync-realtime-api.cn-north-1.amazonaws.com.cn/graphql",
            f"{AWS}.appsync-api.cn-north-1.amazonaws.com.cn",
        ),
        # a host's case says nothing
        (
            f"https://{AWS}.AppSync-API.us-east-1.amazonaws.com/graphql",
            f"wss://{AWS}.appsync-realtime-api.us-east-1.amazonaws.com/graphql",
            f"{AWS}.appsync-api.us-east-1.amazonaws.com",
        ),
        # a custom domain has its socket below the path
        ("https://api.example.com/graphql", "wss://api.example.com/graphql/realtime", "api.example.com"),
        # the default port is not part of the host that credentials name
        ("https://api.example.com:443/graphql", "wss://api.example.com/graphql/realtime", "api.example.com"),
        # the local server: no TLS, a port
        ("http://127.0.0.1:8001/graphql", "ws://127.0.0.1:8001/graphql/realtime", "127.0.0.1:8001"),
        ("http://[::1]:8001/graphql", "ws://[::1]:8001/graphql/realtime", "[::1]:8001"),
        # a closing slash is not doubled
        ("http://localhost:8001/graphql/", "ws://localhost:8001/graphql/realtime", "localhost:8001"),
    ],
)
def test_parse_finds_the_socket_and_the_host(url: str, realtime_url: str, host: str) -> None:
    endpoint = Endpoint.parse(url)

    assert (endpoint.realtime_url, endpoint.host) == (realtime_url, host)


def test_parse_keeps_the_path_for_http() -> None:
    assert Endpoint.parse(" http://localhost:8001/api/graphql ").http_url == "http://localhost:8001/api/graphql"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "scheme"),
        ("api.example.com/graphql", "scheme"),
        ("ftp://api.example.com/graphql", "scheme"),
        ("wss://api.example.com/graphql/realtime", "scheme"),  # the other URL of the two
        (f"https://{AWS}.appsync-realtime-api.us-east-1.amazonaws.com/graphql", "socket's URL"),
        ("https:///graphql", "no host"),
        ("https://api.example.com", "no path"),
        ("https://api.example.com/", "no path"),
        ("https://api.example.com:port/graphql", "not a URL"),
        ("https://[::1/graphql", "not a URL"),
        ("https://api.example.com/graphql?x=1", "query string"),
        ("https://api. example.com/graphql", "white space"),
        (None, "not a URL"),
    ],
)
def test_parse_refuses_nonsense_and_says_what_is_expected(url: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as caught:
        Endpoint.parse(url)

    assert "Expected the API's GraphQL URL" in str(caught.value)


def test_parse_does_not_repeat_a_password() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Endpoint.parse("https://user:hunter2@api.example.com/graphql")

    assert "hunter2" not in str(caught.value)
