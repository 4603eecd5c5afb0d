"""The commands, a module each. What a command needs (trio, rich, httpx) is loaded by that command only."""


def main() -> None:
    """Entry point of the `legation` program. The environment is looked at before anything else is imported."""
    import sys  # noqa: PLC0415 (importing the package has no effect)

    from legation.environment import UnsuitableEnvironmentError, check_environment  # noqa: PLC0415 (likewise)

    try:
        check_environment()
    except UnsuitableEnvironmentError as error:
        sys.stderr.write(f"legation: {error}\n")
        sys.exit(2)
    from legation.cli.program import run  # noqa: PLC0415 (not before the check: it imports `xds`)

    sys.exit(run())
