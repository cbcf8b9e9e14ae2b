"""The command line: `python -m tools.builtin train|convert|measure NAME`.

In: a command and `alcove-seq2seq` or `alcove-chat`. Out: files in src/alcove/builtin/NAME and, from `measure`,
that model's part of tests/builtin_cases.json.
"""

import argparse
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = ("alcove-seq2seq", "alcove-chat")


def main() -> None:
    """Parse the arguments and run the command."""
    parser = argparse.ArgumentParser(prog="python -m tools.builtin", description="Train the built-in models.")
    parser.add_argument("command", choices=("train", "convert", "measure"))
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--folder", type=Path, help="where the model goes (default: src/alcove/builtin/NAME)")
    parser.add_argument("--steps", type=int, help="training steps, to shorten a trial")
    arguments = parser.parse_args()
    folder = arguments.folder or REPOSITORY / "src/alcove/builtin" / arguments.name
    # Imported here so that `--help` does not wait for torch.
    if arguments.command == "train":
        from tools.builtin.master import make_master

        make_master(arguments.name, folder, arguments.steps)
    elif arguments.command == "convert":
        from tools.builtin.conversion import convert_master

        convert_master(folder)
    else:
        from tools.builtin.measure import measure

        measure(arguments.name, folder, REPOSITORY / "tests/builtin_cases.json")


if __name__ == "__main__":
    main()
