"""The names in `engines/offered.py` are those that the engines themselves take."""

import ctranslate2
import pytest

from alcove.config.settings import ModelSettings
from alcove.engines import offered
from alcove.engines.ctranslate2.mixing import mixes_lengths
from alcove.engines.transformers.continuous import knobs
from alcove.engines.transformers.loading import ONLY, TABLES, TAKEN, WITHOUT_EFFECT
from alcove.engines.transformers.placement import PRECISIONS, Placement
from alcove.errors import ModelLoadError
from alcove.pipeline.tokenizers.decoding import read_decoding


def settings(**options: object) -> ModelSettings:
    return ModelSettings(name="m", source="s", engine_options=options)


def test_transformers() -> None:
    known = offered.ENGINE_OPTIONS["transformers"]
    assert known.keys() == TABLES
    assert known["model"] == TAKEN | Placement.KEYS | ONLY.keys() | WITHOUT_EFFECT
    assert offered.COMPUTE_TYPES["transformers"] == {"auto", "int8", *PRECISIONS}
    for name in known["continuous_batching"] or ():
        assert knobs.read_knobs(settings(continuous_batching={name: 64}))


def test_ctranslate2() -> None:
    known = offered.ENGINE_OPTIONS["ctranslate2"]
    for key in known:
        mixes_lengths(settings(**{key: True}), "float32")
    with pytest.raises(ModelLoadError, match=", ".join(list(known)[:2])):
        mixes_lengths(settings(other=True), "float32")
    assert ctranslate2.get_supported_compute_types("cpu") <= offered.COMPUTE_TYPES["ctranslate2"]


def test_decode() -> None:
    for engine in ("ctranslate2", "transformers"):
        names = offered.ENGINE_OPTIONS[engine]["decode"] or ()
        assert read_decoding(dict.fromkeys(names, True), {})


@pytest.mark.parametrize("kind", ["seq2seq", "causal"])
def test_capabilities(kind: str) -> None:
    for engine in offered.ENGINE_OPTIONS:
        assert "temperature" in offered.capabilities(engine, kind).options
        assert offered.capabilities(engine, kind).engine == engine
