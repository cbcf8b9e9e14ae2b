import hashlib
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from alcove.config import keys as keys_module
from alcove.config.layers import Entry, Origin
from alcove.config.load import Loaded, load
from alcove.config.settings import Key
from alcove.config.validation import validated
from alcove.errors import ConfigurationError

MODEL = '[[model]]\nname = "t5"\nsource = "org/t5"\n'


def loaded(folder: Path, text: str = "", environ: dict[str, str] | None = None, **more: Any) -> Loaded:
    (folder / "alcove.toml").write_text(text + MODEL)
    return load(None, environ or {}, more.pop("flags", {}), folder, **more)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def keys(**by_name: str) -> tuple[Key, ...]:
    return tuple(Key(name=name.replace("_", "-"), digest=digest(text)) for name, text in by_name.items())


def key_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "keys"
    path.write_text(text)
    path.chmod(mode)
    return path


class TestKeys:
    def test_from_the_environment(self, tmp_path: Path) -> None:
        found = loaded(tmp_path, environ={"ALCOVE_API_KEYS": "one, two,,one"})
        assert found.settings.auth.keys == keys(key_1="one", key_2="two")
        assert found.origins["auth.keys"] == "environment: ALCOVE_API_KEYS: keys"

    def test_from_another_variable_and_from_a_file_beside_the_configuration(self, tmp_path: Path) -> None:
        key_file(tmp_path, "three\n\n four \n")
        text = '[auth]\nkeys_env = "MINE"\nkeys_file = "keys"\n'
        found = loaded(tmp_path, text, {"MINE": "one"}).settings.auth.keys
        assert found == keys(key_1="one", key_2="three", key_3="four")

    def test_forms_of_a_line(self, tmp_path: Path) -> None:
        known = (
            subprocess.run(["sha256sum"], input=b"four==", capture_output=True, check=True).stdout.decode().split()[0]
        )
        path = key_file(
            tmp_path,
            "\ufeff# who may use it\r\none\r\n  ann@home = two=  \nsha256:" + digest("three").upper()
            + f"\nbob = sha256:{known}\nbob = five\n",
        )  # fmt: skip
        found = loaded(tmp_path, environ={"ALCOVE_KEYS_FILE": str(path)}).settings.auth.keys
        assert found == (
            *keys(key_1="one"),
            Key(name="ann@home", digest=digest("two=")),
            *keys(key_3="three", bob="four=="),
            *keys(bob="five"),
        )

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("two words", "should be KEY, sha256:DIGEST, or NAME = and either"),
            ("ann = two words", "should be KEY, sha256:DIGEST, or NAME = and either"),
            ("a b = topsecret", "should be KEY, sha256:DIGEST, or NAME = and either"),
            ("ann = ", "should be KEY, sha256:DIGEST, or NAME = and either"),
            ("topsecr\u00e9t", "should be KEY, sha256:DIGEST, or NAME = and either"),
            ("sha256:topsecret", "sha256: should be followed by 64 hexadecimal digits"),
            (f"ann = sha256:{'a' * 63}", "sha256: should be followed by 64 hexadecimal digits"),
        ],
    )
    def test_a_broken_line_is_named_and_not_shown(self, tmp_path: Path, line: str, message: str) -> None:
        path = key_file(tmp_path, f"good\n{line}\n")
        with pytest.raises(ConfigurationError) as refused:
            loaded(tmp_path, environ={"ALCOVE_KEYS_FILE": str(path)})
        assert str(refused.value).startswith(f"{path}: line 2: {message}")
        assert "topsecr" not in str(refused.value)

    def test_a_file_that_is_no_text(self, tmp_path: Path) -> None:
        path = tmp_path / "keys"
        path.write_bytes(b"\xff\xfe\x00")
        path.chmod(0o600)
        with pytest.raises(ConfigurationError, match="not a text file in UTF-8"):
            loaded(tmp_path, environ={"ALCOVE_KEYS_FILE": str(path)})

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o602])
    def test_a_file_that_others_may_use_is_refused(self, tmp_path: Path, mode: int) -> None:
        path = key_file(tmp_path, "one", mode)
        with pytest.raises(ConfigurationError) as refused:
            loaded(tmp_path, environ={"ALCOVE_KEYS_FILE": str(path)})
        assert (
            str(refused.value)
            == f"{path}: its mode is {mode:04o}: others can read or change the keys; chmod 600 {path}"
        )

    @pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
    def test_a_file_of_ones_own(self, tmp_path: Path, mode: int) -> None:
        found = loaded(tmp_path, environ={"ALCOVE_KEYS_FILE": str(key_file(tmp_path, "one", mode))})
        assert found.settings.auth.keys == keys(key_1="one")
        assert found.warnings == ()

    def test_a_mounted_secret_has_a_warning(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(keys_module, "_MOUNTED_SECRETS", tmp_path)
        path = key_file(tmp_path, "one", 0o444)
        link = tmp_path / "link"  # as Kubernetes mounts them
        link.symlink_to(path)
        found = loaded(tmp_path, environ={"ALCOVE_KEYS_FILE": str(link)})
        assert found.settings.auth.keys == keys(key_1="one")
        assert found.warnings == (
            f"{link}: its mode is 0444: everyone in this container can read the keys; mount it with 0400",
        )

    def test_a_read_only_file_system_has_a_warning(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real = os.statvfs(tmp_path)
        monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result((*real[:8], os.ST_RDONLY, real[9])))
        found = loaded(tmp_path, environ={"ALCOVE_KEYS_FILE": str(key_file(tmp_path, "one", 0o444))})
        assert len(found.warnings) == 1

    def test_admin_keys(self, tmp_path: Path) -> None:
        path = key_file(tmp_path, "root = two\n")
        text = '[auth]\nadmin_keys_file = "keys"\n'
        found = loaded(tmp_path, text, {"ALCOVE_ADMIN_KEYS": "one", "ALCOVE_API_KEYS": "three"})
        assert found.settings.auth.admin_keys == keys(key_1="one", root="two")
        assert found.settings.auth.keys == keys(key_1="three")
        assert found.origins["auth.admin_keys"] == f"environment: ALCOVE_ADMIN_KEYS and {path}: keys"
        with pytest.raises(
            ConfigurationError, match=re.escape("alcove.toml: auth.admin_keys: keys do not belong into")
        ):
            loaded(tmp_path, '[auth]\nadmin_keys = ["one"]\n')

    @pytest.mark.parametrize(
        ("text", "environ", "message"),
        [
            ("", {"ALCOVE_API_KEYS": " , "}, "environment: ALCOVE_API_KEYS: is set but holds no key"),
            ("", {"ALCOVE_ADMIN_KEYS": ""}, "environment: ALCOVE_ADMIN_KEYS: is set but holds no key"),
            ('[auth]\nadmin_keys_file = "empty"\n', {}, "empty: holds no key; write one a line"),
            ('[auth]\nkeys_env = "MINE"\n', {}, "environment: MINE: is not set (auth.keys_env names it)"),
            ('[auth]\nkeys_file = "absent"\n', {}, "alcove.toml: auth.keys_file: no such file: "),
            ('[auth]\nkeys_file = "empty"\n', {}, "empty: holds no key; write one a line"),
        ],
    )
    def test_keys_that_are_asked_for_and_missing_do_not_open_the_server(
        self, tmp_path: Path, text: str, environ: dict[str, str], message: str
    ) -> None:
        (tmp_path / "empty").touch(0o600)
        with pytest.raises(ConfigurationError) as refused:
            loaded(tmp_path, text, environ)
        assert str(refused.value).replace(f"{tmp_path}/", "").startswith(message)

    @pytest.mark.parametrize("field", ["keys", "admin_keys"])
    def test_a_key_is_not_shown_where_it_is_wrong(self, field: str) -> None:
        entry = Entry([{"name": "ann", "digest": "topsecret"}], Origin("somewhere", field))
        (problem,) = validated({("auth", field): entry}).problems
        assert problem.startswith(f"somewhere: {field}: ")
        assert "topsecret" not in problem

    def test_what_is_found_out_about_access_does_not_get_lost(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Were it left out as a wrong value of a file is, the server would be open."""
        monkeypatch.setattr(keys_module, "digest_of", lambda token: "no digest")
        with pytest.raises(ConfigurationError, match=r"^environment: ALCOVE_API_KEYS: keys: "):
            loaded(tmp_path, environ={"ALCOVE_API_KEYS": "one"})

    def test_a_key_is_not_shown(self, tmp_path: Path) -> None:
        found = loaded(tmp_path, environ={"ALCOVE_API_KEYS": "topsecret"})
        assert "topsecret" not in repr(found)


class TestWithoutKeys:
    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
    def test_open_on_loopback(self, tmp_path: Path, host: str) -> None:
        auth = loaded(tmp_path, flags={"host": host}).settings.auth
        assert not auth.insecure_no_auth
        assert not auth.loopback_only

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
    def test_refused_elsewhere_unless_told_otherwise(self, tmp_path: Path, host: str) -> None:
        with pytest.raises(ConfigurationError) as refused:
            loaded(tmp_path, flags={"host": host})
        assert str(refused.value).startswith(f"server.host is {host} and there are no keys")
        assert "ALCOVE_API_KEYS" in str(refused.value)
        assert "--insecure-no-auth" in str(refused.value)
        assert loaded(tmp_path, flags={"host": host, "insecure_no_auth": True}).warnings == ()
        assert loaded(tmp_path, flags={"host": host}, environ={"ALCOVE_API_KEYS": "k"}).settings.auth.keys

    def test_admin_keys_are_not_enough(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="there are no keys"):
            loaded(tmp_path, flags={"host": "0.0.0.0"}, environ={"ALCOVE_ADMIN_KEYS": "k"})

    def test_only_loopback_clients_where_the_address_is_unknown(self, tmp_path: Path) -> None:
        assert loaded(tmp_path, address_known=False).settings.auth.loopback_only
        for environ in ({"ALCOVE_API_KEYS": "k"}, {"ALCOVE_INSECURE_NO_AUTH": "1"}):
            assert not loaded(tmp_path, environ=environ, address_known=False).settings.auth.loopback_only


class TestNames:
    @pytest.mark.parametrize(("host", "own"), [("127.0.0.1", []), ("127.8.8.8", ["127.8.8.8"]), ("::1", [])])
    @pytest.mark.parametrize("environ", [{}, {"ALCOVE_API_KEYS": "k"}])
    def test_those_of_this_machine_on_loopback(
        self, tmp_path: Path, host: str, own: list[str], environ: dict[str, str]
    ) -> None:
        found = loaded(tmp_path, '[server]\nallowed_hosts = ["proxy.example"]\n', environ, flags={"host": host})
        assert found.settings.server.allowed_hosts == (
            "proxy.example", "localhost", "*.localhost", "127.0.0.1", "[::1]", *own
        )  # fmt: skip

    def test_any_on_other_addresses(self, tmp_path: Path) -> None:
        environ = {"ALCOVE_API_KEYS": "k", "ALCOVE_HOST": "0.0.0.0"}
        assert loaded(tmp_path, environ=environ).settings.server.allowed_hosts == ()
        environ["ALCOVE_ALLOWED_HOSTS"] = "a.example,b.example"
        assert loaded(tmp_path, environ=environ).settings.server.allowed_hosts == ("a.example", "b.example")

    def test_where_the_address_is_unknown_they_hold_without_keys(self, tmp_path: Path) -> None:
        assert "localhost" in loaded(tmp_path, address_known=False).settings.server.allowed_hosts
        for environ in ({"ALCOVE_API_KEYS": "k"}, {"ALCOVE_INSECURE_NO_AUTH": "1"}):
            assert loaded(tmp_path, environ=environ, address_known=False).settings.server.allowed_hosts == ()


class TestOrigins:
    """What is set here says where it came from, as all settings do."""

    def test_names(self, tmp_path: Path) -> None:
        found = loaded(tmp_path, flags={"host": "localhost"}).origins
        assert found["server.allowed_hosts"] == "loopback: this machine's names"

    def test_loopback_only(self, tmp_path: Path) -> None:
        assert loaded(tmp_path, address_known=False).origins["auth.loopback_only"] == "no keys: the address is unknown"

    def test_keys_of_several_places(self, tmp_path: Path) -> None:
        path = key_file(tmp_path, "three\n")
        given = {"ALCOVE_API_KEYS": "two", "ALCOVE_KEYS_FILE": str(path)}
        found = loaded(tmp_path, environ=given)
        assert found.settings.auth.keys == keys(key_1="two", key_2="three")
        assert found.origins["auth.keys"] == f"environment: ALCOVE_API_KEYS and {path}: keys"

    def test_keys_of_a_forerunner_and_of_the_environment(self, tmp_path: Path) -> None:
        path = tmp_path / "config.json"
        path.write_text('{"MODELS": {"t5": {"NAME": "org/t5", "TYPE": "Seq2Seq"}}, "BEARER_TOKENS": ["one"]}')
        found = load(None, {"ALCOVE_API_KEYS": "two,one"}, {}, tmp_path)
        assert found.settings.auth.keys == keys(key_1="one", key_2="two")
        assert found.origins["auth.keys"] == f"{path}: BEARER_TOKENS and environment: ALCOVE_API_KEYS: keys"


@pytest.mark.parametrize(("name", "fine"), [("ann@home", True), ("a" * 64, True), ("a" * 65, False), ("-ann", False)])
def test_names_of_keys(name: str, fine: bool) -> None:
    if fine:
        keys_module.check_name(name)
        return
    with pytest.raises(ConfigurationError) as refused:
        keys_module.check_name(name)
    assert str(refused.value) == f"NAME: should be at most 64 letters, digits and . _ @ -, not {name!r}"
