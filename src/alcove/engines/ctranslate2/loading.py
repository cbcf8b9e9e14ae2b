"""Opens a CTranslate2 folder: a `ModelFolder` and its settings go in, an engine comes out. Called by the registry."""

import logging

import ctranslate2

from alcove.config.settings import ModelSettings
from alcove.engines.base import Nobody, Vocabulary
from alcove.engines.ctranslate2.engine import CTranslate2Engine
from alcove.engines.ctranslate2.library import Causal, Library, Seq2Seq
from alcove.engines.ctranslate2.mixing import mixes_lengths
from alcove.engines.ctranslate2.special import special_tokens
from alcove.engines.ctranslate2.tables import Tables
from alcove.engines.ctranslate2.threads import workers_and_threads
from alcove.errors import ModelLoadError
from alcove.runs import Run
from alcove.store.ctranslate2_layout import read_vocabularies
from alcove.store.folder import ModelFolder

logger = logging.getLogger(__name__)

LEAST_IN_COMMON = 0.5
"""The part of the tokenizer's tokens that the model's vocabulary must have; of files that belong together it has all
but a few."""


def load(folder: ModelFolder, settings: ModelSettings, vocabulary: Vocabulary) -> CTranslate2Engine:
    """Load the folder's weights and try them on one token, so that a broken model fails here and not at a request.

    Raises `ModelLoadError` when CTranslate2 cannot load or run it, or the machine lacks the device or the type.
    """
    device, index = _device(settings)
    source, target = read_vocabularies(folder.path, folder.kind)
    # Marian's <pad> has an embedding of zeros and no bias; CTranslate2's converter leaves it out.
    tables = Tables(vocabulary, source, target, "<pad>" if folder.model_type == "marian" else None)
    workers, threads = workers_and_threads(settings, folder, cuda=device == "cuda")
    try:
        library = _open(folder, settings, device, index, workers, threads)
        engine = CTranslate2Engine(
            library,
            folder.kind,
            tables,
            special_tokens(folder, tables, target),
            workers=workers,
            threads=threads,
            mixed=mixes_lengths(settings, library.compute_type),
            cuda=device == "cuda",
        )
        engine.run([_trial(folder, tables, vocabulary)], Nobody())
    except (RuntimeError, ValueError) as error:
        raise ModelLoadError(f"{folder.path} cannot be run by CTranslate2: {' '.join(str(error).split())}") from error
    return engine


def _device(settings: ModelSettings) -> tuple[str, int]:
    """The library's name of the device, and its number."""
    asked, _, index = settings.device.partition(":")
    if asked not in ("auto", "map", "cpu", "cuda") or (index and not index.isdecimal()):
        raise ModelLoadError(
            f"model '{settings.name}': device = \"{settings.device}\" is unknown: auto, cpu, cuda or cuda:N"
        )
    present = ctranslate2.get_cuda_device_count()
    if asked == "cpu" or (asked != "cuda" and not present):
        return "cpu", 0
    if int(index or 0) < present:
        return "cuda", int(index or 0)
    if settings.strict_device:
        raise ModelLoadError(
            f"model '{settings.name}': device = \"{settings.device}\" is not in this machine ({present} CUDA devices "
            "found): choose another, or set strict_device = false to take the CPU"
        )
    logger.warning("Model '%s': %s is not in this machine, the CPU takes its place", settings.name, settings.device)
    return "cpu", 0


def _open(folder: ModelFolder, settings: ModelSettings, device: str, index: int, workers: int, threads: int) -> Library:
    supported = ctranslate2.get_supported_compute_types(device, index)
    if settings.compute_type != "auto" and settings.compute_type not in supported:
        raise ModelLoadError(
            f"model '{settings.name}': compute_type = \"{settings.compute_type}\" is not supported on this "
            f"{device}: {', '.join(sorted(supported))}, or auto"
        )
    options = {
        "device": device,
        "device_index": index,
        # "default" keeps what the folder was converted to, as far as the machine can
        "compute_type": "default" if settings.compute_type == "auto" else settings.compute_type,
        "inter_threads": workers,
        "intra_threads": threads,
        # a full queue would block the caller; alcove has its own in front
        "max_queued_batches": -1,
    }
    if folder.kind == "seq2seq":
        return Seq2Seq(ctranslate2.Translator(str(folder.path), **options))
    return Causal(ctranslate2.Generator(str(folder.path), **options))


def _trial(folder: ModelFolder, tables: Tables, vocabulary: Vocabulary) -> Run:
    """A run of one token, on a prompt of one ordinary token. The answer begins with one, too: some models must be told
    which (a language), for the others it makes no difference here."""
    known = [number for number in range(len(vocabulary.source)) if tables.source.string(number) is not None]
    if len(known) < LEAST_IN_COMMON * sum(token is not None for token in vocabulary.source):
        raise ModelLoadError(
            f"{folder.path}: of the tokenizer's {len(vocabulary.source)} tokens CTranslate2's vocabulary has "
            f"{len(known)}: one of them belongs to another model"
        )
    first = next((n for n in range(len(vocabulary.target)) if tables.target.string(n) is not None), None)
    return Run(id="trial", tokens=(known[len(known) // 2],), max_new_tokens=1, forced_bos=first)
