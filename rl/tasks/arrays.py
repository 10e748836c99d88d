"""The array types that everything here is made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
CodeArray = NDArray[np.uint8]
ImageArray = NDArray[np.uint8]
"""Red, green and blue: uint8 [height, width, 3]."""
