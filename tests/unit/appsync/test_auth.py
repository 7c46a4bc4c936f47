from __future__ import annotations

import pytest

from django_datastore.appsync.auth import auth_for
from django_datastore.appsync.endpoint import Endpoint
from django_datastore.exceptions import ConfigurationError

ENDPOINT = Endpoint.parse("https://abc.appsync-api.eu-west-1.amazonaws.com/graphql")


def test_api_key_travels_in_a_header() -> None:
    assert auth_for("API_KEY", api_key="da2-secret").http_headers(ENDPOINT, b"{}") == {"x-api-key": "da2-secret"}


def test_api_key_names_the_http_host_on_the_socket() -> None:
    headers = auth_for("API_KEY", api_key="da2-secret").socket_auth(ENDPOINT).get_headers()

    assert headers == {"host": "abc.appsync-api.eu-west-1.amazonaws.com", "x-api-key": "da2-secret"}


def test_socket_url_carries_no_credentials() -> None:
    socket_auth = auth_for("API_KEY", api_key="da2-secret").socket_auth(ENDPOINT)

    assert socket_auth.get_auth_url(ENDPOINT.realtime_url) == ENDPOINT.realtime_url


def test_repr_does_not_show_the_key() -> None:
    auth = auth_for("API_KEY", api_key="da2-secret")

    assert "da2-secret" not in repr(auth) + repr(auth.socket_auth(ENDPOINT))


def test_unknown_mode_names_the_supported_ones() -> None:
    with pytest.raises(ConfigurationError, match="'NTLM'; supported: 'API_KEY'"):
        auth_for("NTLM", api_key="da2-secret")


def test_api_key_mode_needs_a_key() -> None:
    with pytest.raises(ConfigurationError, match="API_KEY'] is missing"):
        auth_for("API_KEY")


@pytest.mark.parametrize("key", ["da2-secret\n", "da2 secret", "da2-sécret"])
def test_key_that_fits_no_header_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        auth_for("API_KEY", api_key=key)

    assert key.strip() not in str(caught.value)
