"""How values become bytes and come back as what they were; nothing is imported or called because of the bytes."""

from routilux.payloads.codec import Codec
from routilux.payloads.secret import Secret

__all__ = ["Codec", "Secret"]
