"""The null space of preserved knowledge: the directions of a layer's keys that the corpus hardly uses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from editflow.editing.errors import InvalidOption
from editflow.editing.linalg.spectrum import Spectrum
from editflow.editing.linalg.threshold import Threshold


@dataclass(frozen=True)
class NullSpace:
    """P = Û Ûᵀ, kept as the thinner of Û (`basis`, d × r) and its orthogonal complement (d × (d − r)).

    `vectors` is float64 with orthonormal columns; `is_basis` is true if they are the basis.
    """

    vectors: Tensor
    is_basis: bool

    @classmethod
    def from_spectrum(cls, spectrum: Spectrum, threshold: Threshold) -> NullSpace:
        """Split the eigenvectors at the threshold, and make only those of the thinner side.

        No projector of size d × d is formed. Raises InvalidOption when nothing lies under the threshold.
        """
        r, d = threshold.rank(spectrum.eigenvalues), len(spectrum.eigenvalues)
        if r == 0:
            raise InvalidOption(
                f"no eigenvalue under the threshold ({threshold.rule} {threshold.value}): nothing may be changed; "
                f"the smallest is {float(spectrum.eigenvalues[0]):.3g} of {d}, raise it or use another rule"
            )
        is_basis = r <= d - r
        chosen = spectrum.eigenvectors(0, r) if is_basis else spectrum.eigenvectors(r, d)
        return cls(chosen.contiguous(), is_basis)

    @classmethod
    def whole(cls, d: int) -> NullSpace:
        """The whole space, P = I: no knowledge is preserved. For controls and comparisons."""
        return cls(torch.zeros(d, 0, dtype=torch.float64), is_basis=False)

    @property
    def d(self) -> int:
        """Width of the keys."""
        return self.vectors.shape[0]

    @property
    def rank(self) -> int:
        """r, the number of directions that may be used."""
        return self.vectors.shape[1] if self.is_basis else self.d - self.vectors.shape[1]

    def basis(self) -> Tensor:
        """Û (d, r), completed from the complement by a QR decomposition where that is what is kept."""
        if self.is_basis:
            return self.vectors
        completed: Tensor = torch.linalg.qr(self.vectors, mode="complete").Q
        return completed[:, self.vectors.shape[1] :]

    def project(self, keys: Tensor) -> Tensor:
        """P K for keys in columns, (d, n) → (d, n) float64, at 4·n·d·min(r, d−r) operations."""
        rows = keys.to(torch.float64).T  # a few rows times the vectors are faster than the vectors times a few columns
        seen = (rows @ self.vectors) @ self.vectors.T
        return (seen if self.is_basis else rows - seen).T

    def matrix(self) -> Tensor:
        """P itself, (d, d). For tests and reports; the edit loop never needs it."""
        return self.project(torch.eye(self.d, dtype=torch.float64))
