"""Keys: denied by default, whatever the path, the method and the Host header say."""

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import openai
import pytest

from tests.conformance.test_errors import error_of
from tests.serving import Server, running

KEY = "sk-alcove-test-0123456789"
CONFIGURATION = '[[model]]\nname = "echo"\nsource = "builtin:echo"\nengine = "echo"\n'
PATHS = [
    "/", "/docs", "/openapi.json", "/metrics", "/v1/metrics", "/v1/models", "/v1/models/echo", "/v1/engines",
    "/nothing", "/health/", "/health//live", "/HEALTH", "/health/live/x", "/v1/../health", "//health",
    "/v1/completions", "/v1/tokenize", "/tokenize", "/v1/detokenize", "/detokenize", "/v1/score",
]  # fmt: skip


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("locked")
    (folder / "alcove.toml").write_text(CONFIGURATION)
    with running("serve", cwd=folder, environment={"ALCOVE_API_KEYS": f"other,{KEY}"}) as server:
        yield server


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", ["x", "x/health?", "x#", "x:80/health"])
def test_nothing_but_health_is_open(locked: Server, path: str, host: str) -> None:
    address = urlsplit(locked.url)
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        with socket.create_connection((address.hostname, address.port), timeout=10) as raw:
            raw.sendall(f"{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
            status = raw.makefile("rb").readline().split()[1]
        assert status in (b"400", b"401"), (method, path, host, status)


def test_health_needs_no_key(locked: Server) -> None:
    assert locked.get("/health").status_code == 200
    assert locked.get("/health/live").status_code == 200


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", f"Bearer  {KEY}", f"Basic {KEY}", KEY, f"Bearer {KEY}x", f"Bearer {KEY[:-1]}",
     "Bearer " + "x" * 8192, b"Bearer \xff\xfe"],
)  # fmt: skip
def test_wrong_keys(locked: Server, header: str | bytes | None) -> None:
    headers = {} if header is None else {"authorization": header}
    response = locked.get("/v1/models", headers=headers)
    error = error_of(response, 401)
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
    assert response.headers["www-authenticate"] == "Bearer"
    assert KEY not in response.text


def test_two_headers_are_none(locked: Server) -> None:
    headers = [("authorization", f"Bearer {KEY}"), ("authorization", f"Bearer {KEY}")]
    assert httpx.get(locked.url + "/v1/models", headers=headers).status_code == 401


@pytest.mark.parametrize("key", [KEY, "other"])
def test_right_keys(locked: Server, key: str) -> None:
    client = openai.OpenAI(base_url=locked.api, api_key=key, max_retries=0)
    assert client.completions.create(model="echo", prompt="hi").choices[0].text == "hi"
    assert locked.get("/v1/models", headers={"authorization": f"bearer {key}"}).status_code == 200


def test_client_sees_an_authentication_error(locked: Server) -> None:
    client = openai.OpenAI(base_url=locked.api, api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError) as caught:
        client.models.list()
    assert caught.value.code == "invalid_api_key"


def test_key_is_in_no_log(locked: Server) -> None:
    assert KEY not in locked.log.read_text()
