"""The CTranslate2 engine: folders in its layout, on CPU and CUDA."""

from alcove.engines.ctranslate2.loading import load

__all__ = ["load"]
