"""What `alcove init` writes is served as it stands."""

import subprocess
import sys
from pathlib import Path

from tests.serving import clean_environment, running


def test_the_written_file_is_served(tmp_path: Path) -> None:
    home = {"ALCOVE_HOME": str(tmp_path / "store")}
    command = [sys.executable, "-m", "alcove", "init"]
    subprocess.run(command, cwd=tmp_path, env=clean_environment(**home), check=True)
    with running("serve", cwd=tmp_path, environment=home) as server:
        listed = [model["id"] for model in server.get("/v1/models").json()["data"]]
        answer = server.post("/v1/completions", {"prompt": "What's a nice reptile?"}).json()
    assert listed == ["alcove-seq2seq", "alcove-chat"]
    assert answer["model"] == "alcove-seq2seq"
    assert "snake" in answer["choices"][0]["text"]
