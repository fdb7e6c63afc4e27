"""A secret: where it is to be found, never what it is."""

from __future__ import annotations

import os
from dataclasses import dataclass

from routilux.errors import SecretError


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """Stands for the value of an environment variable; printed, sent or stored, it is that variable's name."""

    env: str

    def __post_init__(self) -> None:
        if not isinstance(self.env, str) or not self.env.isidentifier():
            raise SecretError("Secret(env=…) takes the name of an environment variable, not the secret itself.")

    @property
    def value(self) -> str:
        """The secret, looked up now; raises `SecretError` where the variable is not set."""
        value = os.environ.get(self.env)
        if value is None:
            raise SecretError(f"The environment variable {self.env} is not set. Set it where the handler runs.")
        return value

    def __str__(self) -> str:
        return f"<secret in {self.env}>"
