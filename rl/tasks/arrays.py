"""The array types that everything here is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
CodeArray = NDArray[np.uint8]
ImageArray = NDArray[np.uint8]
"""Red, green and blue: uint8 [height, width, 3]."""
ActionArray = NDArray[Any]
"""Actions: int64 [B] or [B, parts], or float32 [B, dimensions]."""
