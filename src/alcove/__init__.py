"""alcove: sequence-to-sequence and small causal language models behind the OpenAI API, on your own machine."""

__version__ = "0.1.0"
