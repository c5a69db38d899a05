"""The scale of what comes file by file: frames of recordings, pixels of images."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.data.windows import Scaler


class Moments:
    """Mean and deviation of arrays that come one by one (Chan et al. 1979), in float64.

    >>> moments = Moments()
    >>> moments.add(np.array([[1.0, 5.0]])); moments.add(np.array([[3.0, 5.0]]))
    >>> moments.scaler()
    Scaler(mean=array([2., 5.]), std=array([1., 1.]))
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = self._squares = np.zeros(1)

    def add(self, values: NDArray[Any]) -> None:
        """Count in everything in an array `[..., dim]`, such as frames `[time, dim]` or pixels `[row, column, dim]`."""
        rows = values.reshape(-1, values.shape[-1])
        mean = rows.mean(0, dtype=np.float64)
        squares = np.square(rows - mean).sum(0)
        count, apart = self.count + len(rows), mean - self._mean
        self._squares = self._squares + squares + apart**2 * (self.count * len(rows) / count)
        self._mean = self._mean + apart * (len(rows) / count)
        self.count = count

    def scaler(self) -> Scaler:
        """The scale of all of them; a number that never changed has a deviation of 1.

        Raises:
            ValueError: there were none.
        """
        if not self.count:
            raise ValueError("moments must be of at least one row; got none")
        std = np.sqrt(self._squares / self.count)
        return Scaler(self._mean, np.where(std > 1e-9 * np.abs(self._mean), std, 1.0))
