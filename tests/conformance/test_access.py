"""Keys: denied by default, whatever the path, the method and the Host header say."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import httpx
import openai
import pytest
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from alcove.config.settings import Settings
from alcove.server.app import create_app
from tests import every_error
from tests.conformance.test_errors import error_of
from tests.serving import Server, running

KEY = "sk-alcove-test-0123456789"
ADMIN = "sk-alcove-admin-0123456789"
CONFIGURATION = (
    '[server]\nlog_level = "error"\n{}\n[[model]]\nname = "echo"\nsource = "builtin:echo"\nengine = "echo"\n'
)
PUBLIC = {"/health", "/health/live"}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
HOSTS = [
    "localhost", "evil.example", "x/health", "x/health?", "x#", "x:80/health", "x?/health", "x@localhost", "[::1]:8000",
    "localhost:8000/health/live?", "%2fhealth", "../health",
]  # fmt: skip
FORMS = [
    "{}", "{}/", "/{}", "/health/..{}", "/health/%2e%2e{}", "{}?/health", "{}#/health", "{}%00", "{}/../health",
    "{};/health",
]  # fmt: skip
CLOSED = {400, 401, 403, 404, 405}


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Answers under every name, so that whatever the Host header says reaches the keys."""
    folder: Path = tmp_path_factory.mktemp("locked")
    (folder / "alcove.toml").write_text(CONFIGURATION.format('allowed_hosts = ["*"]'))
    environment = {"ALCOVE_API_KEYS": f"other,{KEY}", "ALCOVE_ADMIN_KEYS": ADMIN}
    with running("serve", cwd=folder, environment=environment) as server:
        yield server


def paths() -> list[str]:
    """A path for each route of the application, those of mounts and of the documentation included."""
    found: list[str] = []
    for context in iter_route_contexts(create_app(Settings())._make_app().routes):
        assert not isinstance(context.original_route, Mount), "ask for what is below it, too"
        found.append(re.sub(r"\{.*?\}", "echo", context.path))
    assert {"/health", "/v1/completions", "/docs", "/openapi.json", "/metrics", "/admin/models"} <= set(found)
    return [*found, "/", "/nothing", "/HEALTH"]


def statuses(server: Server, requests: list[bytes]) -> list[int]:
    """Of the answers to requests on one connection; a request that is refused as malformed is the last of it."""
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(b"".join(requests))
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    if not requests[0].startswith(b"HEAD"):  # its answers have a length, and no body
        every_error.see_raw(answer)
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", answer)]


@pytest.mark.parametrize("path", paths())
def test_nothing_but_health_is_open(locked: Server, path: str) -> None:
    for host in HOSTS:
        for method in METHODS:
            targets = [form.format(path) for form in FORMS]
            requests = [f"{method} {target} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode() for target in targets]
            while requests:
                found = statuses(locked, requests)
                assert found, (method, host, targets)
                for target, status in zip(targets, found, strict=False):
                    asked = unquote(re.split(r"[?#]", target)[0])
                    open_ = asked in PUBLIC and method == "GET"
                    assert status == 200 if open_ else status in CLOSED, (method, target, host, status)
                requests, targets = requests[len(found) :], targets[len(found) :]


def test_what_is_public_is_listed_here(locked: Server) -> None:
    """A new route that answers without a key fails this test, until it is written down."""
    answers = {path: locked.get(path).status_code for path in paths()}
    assert {path for path, status in answers.items() if status not in (401, 403)} == PUBLIC
    assert {answers[path] for path in PUBLIC} == {200}


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


@pytest.mark.parametrize("stream", [False, True])
def test_client_sees_an_authentication_error(locked: Server, stream: bool) -> None:
    client = openai.OpenAI(base_url=locked.api, api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError) as caught:
        client.completions.create(model="echo", prompt="hi", stream=stream)
    assert (caught.value.code, caught.value.type, caught.value.param) == (
        "invalid_api_key", "invalid_request_error", None
    )  # fmt: skip


async def test_asynchronous_client_sees_it_too(locked: Server) -> None:
    async with openai.AsyncOpenAI(base_url=locked.api, api_key="wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.models.list()
    assert caught.value.code == "invalid_api_key"


def test_administration_has_its_own_key(locked: Server) -> None:
    """And the client of a key in the wrong place sees that it is not allowed, not that it is unknown."""
    assert locked.get("/admin/models", headers={"authorization": f"Bearer {ADMIN}"}).status_code == 200
    error = error_of(locked.get("/admin/models", headers={"authorization": f"Bearer {KEY}"}), 403)
    assert (error["type"], error["code"]) == ("permission_error", "forbidden")
    with pytest.raises(openai.PermissionDeniedError) as caught:
        openai.OpenAI(base_url=locked.api, api_key=ADMIN, max_retries=0).models.list()
    assert caught.value.code == "forbidden"


def test_there_is_no_administration_without_its_keys(server: Server) -> None:
    """Of the conformance tests' own server, which has none, and none for clients either."""
    assert error_of(server.get("/admin/models"), 404)["code"] == "unknown_url"
    assert error_of(server.post("/admin/models/echo/load", {}), 404)["code"] == "unknown_url"


def test_documentation_hides_behind_keys(locked: Server) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    assert {locked.get(path, headers=headers).status_code for path in ("/docs", "/openapi.json")} == {404}


def test_documentation_that_is_asked_for_is_public(tmp_path: Path) -> None:
    (tmp_path / "alcove.toml").write_text(CONFIGURATION.format("docs = true"))
    with running("serve", cwd=tmp_path, environment={"ALCOVE_API_KEYS": KEY}) as server:
        answers = {path: server.get(path).status_code for path in paths()}
    assert {path for path, status in answers.items() if status == 200} == PUBLIC | {"/docs", "/openapi.json"}


class TestBrowsers:
    """On a loopback address without keys."""

    @pytest.mark.parametrize("method", METHODS)
    def test_a_name_that_points_here_is_refused(self, server: Server, method: str) -> None:
        for path in ("/v1/completions", "/health", "/metrics", "/nothing"):
            answer = httpx.request(method, server.url + path, headers={"host": "evil.example"})
            assert answer.status_code == 403
            assert "access-control-allow-origin" not in answer.headers

    @pytest.mark.parametrize("content_type", ["text/plain", "application/json", None])
    def test_a_page_of_another_origin_cannot_have_work_done(self, server: Server, content_type: str | None) -> None:
        """Nor by what needs no preflight: a text, or a blob without a type."""
        headers = {"origin": "https://evil.example"} | ({"content-type": content_type} if content_type else {})
        answer = httpx.post(f"{server.api}/completions", content=b'{"prompt":"hi"}', headers=headers)
        assert error_of(answer, 403)["code"] == "forbidden"
        assert "access-control-allow-origin" not in answer.headers

    def test_its_own_pages_can(self, server: Server) -> None:
        answer = server.post("/v1/completions", {"prompt": "hi"}, headers={"origin": server.url})
        assert answer.status_code == 200

    def test_listed_origins_can(self, tmp_path: Path) -> None:
        (tmp_path / "alcove.toml").write_text(CONFIGURATION.format('cors_origins = ["https://chat.example"]'))
        asked = {
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type",
        }
        with running("serve", cwd=tmp_path, environment={"ALCOVE_API_KEYS": KEY}) as server:
            for origin, status in (("https://chat.example", 200), ("https://evil.example", 403)):
                preflight = httpx.options(f"{server.api}/completions", headers={"origin": origin, **asked})
                answer = server.post(
                    "/v1/completions", {"prompt": "hi"}, headers={"origin": origin, "authorization": f"Bearer {KEY}"}
                )
                assert preflight.status_code == answer.status_code == status
                for headers in (preflight.headers, answer.headers):
                    allowed = headers.get("access-control-allow-origin")
                    assert allowed == (origin if status == 200 else None)
                    assert "access-control-allow-credentials" not in headers
                exposed = answer.headers.get("access-control-expose-headers", "")
                assert ("x-request-id" in exposed) == (status == 200), "a page needs it to report a fault"
