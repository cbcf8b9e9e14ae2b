"""The largest prompts that fit, and the largest bodies, from several clients at once: others are answered meanwhile."""

import threading
import time
from pathlib import Path

import httpx

from tests.serving import running
from tests.soak.load import percentile
from tests.soak.probe import probing

CLIENTS, FOR_S = 8, 4.0
MODELS = """
[[model]]
name = "bytes"
source = "builtin:echo"
engine = "echo"
[[model]]
name = "words"
source = "builtin:alcove-seq2seq"
"""
BYTES, WORDS = 8192, 512
"""Tokens that the models take; a character of the first is one."""
BODY = 2 * 1024 * 1024 - 200
LARGE: list[tuple[int, bytes]] = [
    (200, b'{"model": "bytes", "max_tokens": 1, "prompt": "%s"}' % (b"x" * (BYTES - 1))),
    (400, b'{"model": "bytes", "max_tokens": 1, "prompt": "%s"}' % (b"x" * 64 * BYTES)),  # the longest that is encoded
    (400, b'{"model": "words", "max_tokens": 1, "prompt": "%s"}' % (b"of " * (64 * WORDS // 3))),
    (400, b'{"model": "words", "max_tokens": 1, "prompt": "%s"}' % (b"of " * (BODY // 3))),
    (400, b'{"model": "bytes", "prompt": [%s1]}' % (b"1," * (BODY // 2))),
    (400, b'{"model": "bytes", "prompt": "%s"}' % (b'\\"' * (BODY // 2))),
    (200, b'{"model": "bytes", "max_tokens": 1, "prompt": "x", "user": "%s"}' % (b"y" * BODY)),
]
"""What each is answered."""


def test_the_largest_prompts_hold_up_nobody(tmp_path: Path) -> None:
    (tmp_path / "alcove.toml").write_text(MODELS)
    wrong: list[tuple[int, int]] = []
    answered = 0
    with running("serve", cwd=tmp_path) as server:

        def send(first: int) -> None:
            nonlocal answered
            headers = {"content-type": "application/json"}
            with httpx.Client(base_url=server.url, headers=headers, timeout=60) as client:
                number = first
                while time.monotonic() < until:
                    expected, body = LARGE[number % len(LARGE)]
                    status = client.post("/v1/completions", content=body).status_code
                    if status != expected:
                        wrong.append((number % len(LARGE), status))
                    number += 1
                    answered += 1

        with probing(int(server.url.rpartition(":")[2])) as latencies:
            until = time.monotonic() + FOR_S
            senders = [threading.Thread(target=send, args=[first]) for first in range(CLIENTS)]
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join()
    assert wrong == []
    assert answered >= len(LARGE)
    print(
        f"{answered} answered, p50 {percentile(latencies, 0.5):.4f}, p99 {percentile(latencies, 0.99):.4f}, "
        f"most {max(latencies):.4f} of {len(latencies)}"
    )
    assert percentile(latencies, 0.99) < 2
