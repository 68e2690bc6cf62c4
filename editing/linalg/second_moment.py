"""The uncentred second moment of a layer's keys, accumulated in float64."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from editflow.editing.errors import InvalidOption, NonFinite


@dataclass
class SecondMoment:
    """Running sum Σ k kᵀ over keys k ∈ R^d (MEMIT, arXiv 2210.07229, eq. 14, before the division by n).

    `total` is d × d float64; `count` is the number of keys in it. `add` costs 2·n·d² operations in the keys' dtype, at
    least float32; only the d × d result is converted to float64.
    """

    total: Tensor
    count: int = 0

    @classmethod
    def zeros(cls, d: int, device: torch.device | str = "cpu") -> SecondMoment:
        """An empty moment of width d."""
        return cls(torch.zeros(d, d, dtype=torch.float64, device=device))

    @property
    def d(self) -> int:
        """Width of the keys."""
        return self.total.shape[0]

    def add(self, keys: Tensor) -> None:
        """Add n keys, shape (n, d). Raises NonFinite before it changes anything."""
        # Sums of half-precision products lose the small eigenvalues, whose eigenvectors span the null space.
        keys = keys if keys.dtype == torch.float64 else keys.float()
        product = keys.T @ keys
        if not bool(torch.isfinite(product).all()):
            raise NonFinite("NaN or infinity among the keys of the corpus: check the model's weights and dtype")
        self.total += product.to(torch.float64)
        self.count += keys.shape[0]

    def merge(self, other: SecondMoment) -> SecondMoment:
        """The moment of both samples together. The order of merging changes the last bits."""
        if other.d != self.d:
            raise InvalidOption(f"cannot merge second moments of widths {self.d} and {other.d}")
        return SecondMoment(self.total + other.total, self.count + other.count)

    def mean(self) -> Tensor:
        """C0 = Σ k kᵀ / n, (d, d) float64, exactly symmetric."""
        if self.count == 0:
            raise InvalidOption("the second moment has no keys: the corpus has no tokens; raise corpus.tokens")
        mean = self.total / self.count
        return (mean + mean.T) / 2
