"""What every case is given: where to write, which models there are, how thorough to be, and whom to tell."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.models import Folders

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Setting:
    """One run of the benchmarks."""

    scratch: Path
    """A folder that is gone afterwards."""
    models: Path
    """Where the models are, or are made."""
    quick: bool
    say: Callable[[str], None]
    """Tells a person what is being done."""

    def model(self, name: str) -> Folders:
        """A model of `models.py`; made in a process of its own, so that torch does not stay in this one."""
        made = Folders.under(self.models / name)
        if not (made.ctranslate2 / "model.bin").is_file():
            self.say(f"making {name} (random weights)")
            command = [sys.executable, "-m", "tests.bench.models", name, str(self.models)]
            subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return made

    def pick(self, full: int, quick: int) -> int:
        """The first, or the second when there is little time."""
        return quick if self.quick else full
