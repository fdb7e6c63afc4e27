"""NumPy arrays: a handler that is given one and gives it on, and the copies that one may cost."""

from __future__ import annotations

from multiprocessing.shared_memory import SharedMemory
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]


def ones(size: int) -> Array:
    """An array of so many bytes."""
    return np.ones(size // 8)


def marked(array: Array) -> Array:
    """The same array, with a sign of who had it."""
    array[0] += 1
    return array


def there_and_back(array: Array) -> Array:
    """A copy of a copy in shared memory, which is new and gone after that."""
    memory = SharedMemory(create=True, size=array.nbytes)
    try:
        shared: Array = np.ndarray(array.shape, array.dtype, memory.buf)
        shared[:] = array
        back = shared.copy()
        del shared
    finally:
        memory.close()
        memory.unlink()
    return back
