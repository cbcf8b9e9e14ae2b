"""Conversions in the store of transformers folders that lie elsewhere: made once, found again by the folder's path.

`alcove convert FOLDER` makes one; so does `serve_from`, called when a model is loaded whose settings ask for
CTranslate2 and whose folder is transformers'.
"""

import hashlib
import logging
import os
import subprocess
import sys
from pathlib import Path

from alcove.config.settings import ModelSettings
from alcove.errors import ModelLoadError
from alcove.store.convert import convert
from alcove.store.convertible import QUANTIZATION
from alcove.store.find import find
from alcove.store.manifest import read
from alcove.store.places import alone, conversions_of, sweep, work_of
from alcove.store.progress import Watcher
from alcove.store.recognise import recognise
from alcove.store.sealing import seal

log = logging.getLogger(__name__)


def serve_from(settings: ModelSettings, home: Path) -> Path:
    """The folder that a configured model is loaded from: the one it names, or that one's conversion, which is made
    first where there is none yet. Blocks for as long as that takes. Raises `ModelLoadError`."""
    folder = find(settings.source, settings.revision, settings.engine, home)
    if settings.engine != "ctranslate2" or recognise(folder).layout != "transformers":
        return folder
    quantization = QUANTIZATION if settings.compute_type == "auto" else settings.compute_type
    converted = conversion_of(folder, quantization, home)
    if is_current(converted, folder):
        log.info("Model '%s': served from its conversion %s", settings.name, converted)
        return converted
    log.info("Model '%s': %s is converted to %s for CTranslate2, once", settings.name, folder, quantization)
    _convert_apart(folder, quantization, home)
    log.info("Model '%s': converted to %s", settings.name, converted)
    return converted


def convert_folder(folder: Path, quantization: str, home: Path, watcher: Watcher) -> tuple[Path, bool]:
    """Convert a transformers folder into the store, unless that is done already; returns where the conversion is, and
    whether it is new. Raises `ModelLoadError`."""
    folder = folder.resolve()
    store, target = conversions_of(home), conversion_of(folder, quantization, home)
    with alone(store, target.name, str(folder), watcher):
        if is_current(target, folder):
            return target, False
        sweep(store, f"{target.name}@")
        before = fingerprint(folder)
        made = work_of(store) / f"{target.name}@new"
        convert(folder, made, quantization, watcher)
        seal(made, target, store, watcher, source=str(folder), quantization=quantization, fingerprint=before)
        return target, True


def conversion_of(folder: Path, quantization: str, home: Path) -> Path:
    """Where the conversion of a folder lies in the store, whether or not it is there."""
    path = folder.resolve()
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return conversions_of(home) / f"{path.name[:100]}-{digest}-{quantization}"


def is_current(converted: Path, folder: Path) -> bool:
    """Whether `converted` is the conversion of `folder` as it is now."""
    manifest = read(converted)
    return manifest is not None and manifest.fingerprint == fingerprint(folder)


def fingerprint(folder: Path) -> str:
    """What tells a folder from the same one with other files in it: their names, sizes and times."""
    facts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir() if path.is_file()]
    return hashlib.sha256(repr(sorted(facts)).encode()).hexdigest()


def _convert_apart(folder: Path, quantization: str, home: Path) -> None:
    """Convert in a process of its own, on one core: to import torch would hold up all streams of this one, and what
    the conversion needs of memory would stay."""
    command = [sys.executable, "-m", "alcove", "convert", str(folder), "--quantization", quantization]
    environment = {**os.environ, "ALCOVE_HOME": str(home), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"alcove convert ended with {done.returncode}"]
        raise ModelLoadError(lines[-1].removeprefix("alcove: "))
