"""Training of the two models that alcove ships; run as `python -m tools.builtin`, see README.md beside this file."""
