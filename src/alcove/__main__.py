"""`python -m alcove`, and the command `alcove`."""


def main() -> None:
    """Run the command line."""
    from alcove.cli.commands import run

    run()


if __name__ == "__main__":
    main()
