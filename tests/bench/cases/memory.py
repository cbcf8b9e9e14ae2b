"""What alcove needs of memory beside the engine."""

import subprocess
import sys

from tests.bench.figures import Row, Theme, at_most
from tests.bench.served import serving
from tests.bench.setting import REPOSITORY, Setting
from tests.bench.workload import NEW_TOKENS, body, in_turns, sources

CLIENTS, ROUNDS = 8, 8
SCRIPT = f"""
import ctranslate2, sys
from tests.bench import workload
translator, sources = ctranslate2.Translator(sys.argv[1]), workload.token_lists("seq2seq", {CLIENTS})
for _ in range({ROUNDS}):
    translator.translate_batch(sources, beam_size=1, max_decoding_length={NEW_TOKENS})
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")))
"""
THEME = Theme(
    title="Memory",
    figure="more than the script, MB",
    beside=("alcove, MB", "script, MB"),
    how="Resident memory of the server after 64 whole and 64 streamed answers at 8 clients, less that of a script of "
    "five lines which loads the same model with CTranslate2 alone and translates the same, 8 at a time.",
)


def memory(setting: Setting) -> list[Row]:
    name = "T5 60M int8"
    folder = str(setting.model("t5-60m").ctranslate2)
    setting.say(f"{name}: memory of a script of five lines")
    command = [sys.executable, "-c", SCRIPT, folder]
    ran = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    script = int(ran.stdout) * 1024 / 1e6
    setting.say(f"{name}: memory of the server")
    with serving(folder, scratch=setting.scratch) as served:
        for streamed in (False, True):
            served.closed(
                [body(text, streamed=streamed) for text in in_turns(sources(CLIENTS), CLIENTS * ROUNDS)],
                clients=CLIENTS,
            )
        server = served.resident_bytes / 1e6
    return [
        Row(
            what=name,
            value=server - script,
            shown=f"{server - script:.0f}",
            bar=at_most(120),
            beside=(f"{server:.0f}", f"{script:.0f}"),
        )
    ]
