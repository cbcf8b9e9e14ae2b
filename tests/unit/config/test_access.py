from pathlib import Path
from typing import Any

import pytest

from alcove.config.load import Loaded, load
from alcove.errors import ConfigurationError

MODEL = '[[model]]\nname = "t5"\nsource = "org/t5"\n'


def loaded(folder: Path, text: str = "", environ: dict[str, str] | None = None, **more: Any) -> Loaded:
    (folder / "alcove.toml").write_text(text + MODEL)
    return load(None, environ or {}, more.pop("flags", {}), folder, **more)


class TestKeys:
    def test_from_the_environment(self, tmp_path: Path) -> None:
        found = loaded(tmp_path, environ={"ALCOVE_API_KEYS": "one, two,,one"})
        assert found.settings.auth.keys == ("one", "two")
        assert found.origins["auth.keys"] == "environment: ALCOVE_API_KEYS: keys"

    def test_from_another_variable_and_from_a_file_beside_the_configuration(self, tmp_path: Path) -> None:
        (tmp_path / "keys").write_text("three\n\n four \n")
        text = '[auth]\nkeys_env = "MINE"\nkeys_file = "keys"\n'
        assert loaded(tmp_path, text, {"MINE": "one"}).settings.auth.keys == ("one", "three", "four")

    @pytest.mark.parametrize(
        ("text", "environ", "message"),
        [
            ("", {"ALCOVE_API_KEYS": " , "}, "environment: ALCOVE_API_KEYS: is set but holds no key"),
            ('[auth]\nkeys_env = "MINE"\n', {}, "environment: MINE: is not set (auth.keys_env names it)"),
            ('[auth]\nkeys_file = "absent"\n', {}, "alcove.toml: auth.keys_file: no such file: "),
            ('[auth]\nkeys_file = "empty"\n', {}, "empty: holds no key; write one a line"),
        ],
    )
    def test_keys_that_are_asked_for_and_missing_do_not_open_the_server(
        self, tmp_path: Path, text: str, environ: dict[str, str], message: str
    ) -> None:
        (tmp_path / "empty").touch()
        with pytest.raises(ConfigurationError) as refused:
            loaded(tmp_path, text, environ)
        assert str(refused.value).replace(f"{tmp_path}/", "").startswith(message)

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
        assert loaded(tmp_path, flags={"host": host}, environ={"ALCOVE_API_KEYS": "k"}).settings.auth.keys == ("k",)

    def test_only_loopback_clients_where_the_address_is_unknown(self, tmp_path: Path) -> None:
        assert loaded(tmp_path, address_known=False).settings.auth.loopback_only
        for environ in ({"ALCOVE_API_KEYS": "k"}, {"ALCOVE_INSECURE_NO_AUTH": "1"}):
            assert not loaded(tmp_path, environ=environ, address_known=False).settings.auth.loopback_only
