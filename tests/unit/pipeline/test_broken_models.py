"""Folders with a broken, missing or foreign file: found before the model is ready, or not to be found without hashes.

Every file of a model is emptied, cut in half, changed in its middle, left out and taken from another model.
"""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from alcove.config.settings import ModelSettings
from alcove.errors import AlcoveError
from alcove.jobs import Job
from alcove.metrics import Metrics
from alcove.pipeline.cores import Cores
from alcove.pipeline.model import Model
from alcove.store import manifest
from alcove.store.convert import convert
from alcove.store.recognise import recognise

LAYOUTS = ("ctranslate2", "transformers")
PROMPTS = ("hello world", "the quick brown fox", "grüß dich")
WAYS = ("empty", "half", "flip", "drop", "swap")
NOT_READ = {("spiece.model", way) for way in WAYS}
"""Where there is a tokenizer.json; answers stay what they were."""
ONLY_BY_HASH = {
    *((weights, "flip") for weights in ("model.bin", "model.safetensors")),
    *((name, way) for name in ("generation_config.json", "tokenizer_config.json") for way in ("drop", "swap")),
    ("tokenizer.json", "drop"),
}
"""What makes another model that is as good as any: a number of another value, wishes that a model need not have, an
older file that takes a newer one's place (as in transformers; the zoo's two number the end of sequence differently)."""
Folders = Callable[[str, str], Path]


@pytest.fixture(scope="module")
def folders(zoo: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Folders:
    root = tmp_path_factory.mktemp("converted")

    def folder(family: str, layout: str) -> Path:
        if layout == "ctranslate2" and not (root / family).exists():
            convert(zoo(family), root / family, "float32")
        return root / family if layout == "ctranslate2" else zoo(family)

    return folder


def mutations(folder: Path, foreign: Path) -> list[tuple[str, str]]:
    names = sorted(path.name for path in folder.iterdir() if path.name != manifest.FILE)
    return [(name, way) for name in names for way in WAYS if way != "swap" or (foreign / name).exists()]


def mutate(path: Path, way: str, foreign: Path) -> None:
    content = path.read_bytes()
    middle = len(content) // 2
    match way:
        case "empty":
            path.write_bytes(b"")
        case "half":
            path.write_bytes(content[:middle])
        case "flip":
            path.write_bytes(content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :])
        case "drop":
            path.unlink()
        case "swap":
            shutil.copyfile(foreign / path.name, path)


async def answers(folder: Path) -> list[str]:
    """What the model says once it is ready. Raises what loading raises."""
    settings = ModelSettings(name="m", source=str(folder), threads=1, workers=1, device="cpu")
    loop = asyncio.get_running_loop()
    found = recognise(folder)
    model = await asyncio.to_thread(Model.load, found, settings, Metrics(), Cores(1), loop, pytest.fail)
    try:
        jobs = [Job(prompt=prompt, param="prompt", max_tokens=12) for prompt in PROMPTS]
        texts = ["" for _ in jobs]
        async for events in model.answer(jobs):
            for event in events:
                texts[event.job] += event.text
        return texts
    finally:
        await asyncio.to_thread(model.close)


async def outcome(folder: Path) -> tuple[str, list[str]]:
    """Why the model is refused, or what it says."""
    try:
        return "", await answers(folder)
    except AlcoveError as error:
        return str(error), []


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_what_is_broken_is_not_served(folders: Folders, tmp_path: Path, layout: str) -> None:
    original, foreign = folders("t5", layout), folders("llama", layout)
    sound = await answers(original)
    assert all(sound)
    found = mutations(original, foreign)
    assert len(found) >= 25
    served = set()
    for name, way in found:
        folder = Path(shutil.copytree(original, tmp_path / "t5", dirs_exist_ok=True))
        mutate(folder / name, way, foreign)
        reason, told = await outcome(folder)
        if not reason:
            served.add((name, way))
            assert told == sound or (name, way) in ONLY_BY_HASH, (name, way)
        else:
            assert "\n" not in reason
            assert str(folder) in reason, "it says where to look"
            assert name in reason or way in ("drop", "swap"), reason
        shutil.rmtree(folder)
    assert served <= NOT_READ | ONLY_BY_HASH


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_with_a_manifest_sizes_are_seen_at_the_start_and_the_rest_by_verify(
    folders: Folders, tmp_path: Path, layout: str
) -> None:
    original, foreign = folders("t5", layout), folders("llama", layout)
    wrong_content = set()
    for name, way in mutations(original, foreign):
        folder = Path(shutil.copytree(original, tmp_path / "t5", dirs_exist_ok=True))
        written = manifest.Manifest(
            source="t5", layout=layout, kind="seq2seq", created="", alcove="", files=manifest.measured(folder)  # type: ignore[arg-type]
        )  # fmt: skip
        manifest.write(folder, written)
        mutate(folder / name, way, foreign)
        reason, _ = await outcome(folder)
        if not reason:
            wrong_content.add(way)
        elif way != "flip":
            assert reason.startswith(f"{folder / name} "), reason
        (problem,) = manifest.verify(folder)
        assert str(folder / name) in problem
        shutil.rmtree(folder)
    assert wrong_content <= {"flip"}
