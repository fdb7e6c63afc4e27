"""How values become bytes and come back as what they were; nothing is imported or called because of the bytes."""

from routilux.payloads.blobs import Blobs
from routilux.payloads.codec import Codec

__all__ = ["Blobs", "Codec"]
