"""The command for keys: what can be typed, and its help. Registered by `cli/commands/__init__.py`."""

from typing import Annotated

import typer


def key(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Whose it is: stands in the log, and limits are counted by it.")
    ] = None,
) -> None:
    """Make a key: for its client, and as a line of the server's keys file.

    The line holds the key's SHA-256 only, so that the file tells nobody the
    key. Nothing is written; a server that runs reads its file at SIGHUP.

    \b
    alcove key ann
    """
    import secrets

    from alcove.config.keys import check_name, digest_of

    if name is not None:
        check_name(name)
    token = f"sk-{secrets.token_urlsafe(32)}"
    typer.echo(f"The key, for its client:    {token}")
    typer.echo(f"Its line in the keys file:  {f'{name} = ' if name else ''}sha256:{digest_of(token)}")
