"""A load client for any server that speaks OpenAI's API, light enough to share a machine with it.

Requests go in as JSON bodies; a `Level` of raw outcomes comes out of `load.closed_loop` and `load.poisson`. Called by
`alcove bench` and by the repository's own benchmark. It knows the server by its answers only.
"""
