"""What all tests rely on."""

import signal


def pytest_configure() -> None:
    """A shell has what it starts in the background ignore Ctrl-C, and whatever that starts as well."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
