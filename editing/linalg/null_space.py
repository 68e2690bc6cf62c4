"""The null space of preserved knowledge: directions in which a layer's keys hardly vary on the corpus."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from editflow.editing.errors import InvalidOption
from editflow.editing.linalg.spectrum import Spectrum
from editflow.editing.linalg.threshold import Threshold


@dataclass(frozen=True)
class NullSpace:
    """P = Û Ûᵀ, stored as the narrower of Û (d × r) and its orthogonal complement (d × (d − r)).

    `vectors` is float64 with orthonormal columns; `is_basis` says whether it is Û.
    """

    vectors: Tensor
    is_basis: bool

    @classmethod
    def from_spectrum(cls, spectrum: Spectrum, threshold: Threshold) -> NullSpace:
        """Split the eigenvectors at the threshold and compute only those of the narrower side.

        Never forms the d × d projector. Raises InvalidOption if no eigenvalue is below the threshold.
        """
        r, d = threshold.rank(spectrum.eigenvalues), len(spectrum.eigenvalues)
        if r == 0:
            raise InvalidOption(
                f"no eigenvalue under the threshold ({threshold.rule} {threshold.value}), so nothing may be "
                f"changed; the smallest of {d} is {float(spectrum.eigenvalues[0]):.3g}: raise the threshold or use "
                "another rule"
            )
        is_basis = r <= d - r
        chosen = spectrum.eigenvectors(0, r) if is_basis else spectrum.eigenvectors(r, d)
        return cls(chosen.contiguous(), is_basis)

    @classmethod
    def whole(cls, d: int) -> NullSpace:
        """The whole space, P = I, which preserves nothing. For controls and comparisons."""
        return cls(torch.zeros(d, 0, dtype=torch.float64), is_basis=False)

    @property
    def d(self) -> int:
        """Width of the keys."""
        return self.vectors.shape[0]

    @property
    def rank(self) -> int:
        """r, the number of directions that edits may use."""
        return self.vectors.shape[1] if self.is_basis else self.d - self.vectors.shape[1]

    def basis(self) -> Tensor:
        """Û (d, r). If only the complement is stored, a QR decomposition computes Û from it."""
        if self.is_basis:
            return self.vectors
        completed: Tensor = torch.linalg.qr(self.vectors, mode="complete").Q
        return completed[:, self.vectors.shape[1] :]

    def project(self, keys: Tensor) -> Tensor:
        """Return P K for keys in columns, (d, n) → (d, n) float64. Costs 4·n·d·min(r, d−r) operations."""
        rows = keys.to(torch.float64).T  # a few rows times the vectors are faster than the vectors times a few columns
        projected = (rows @ self.vectors) @ self.vectors.T
        return (projected if self.is_basis else rows - projected).T

    def matrix(self) -> Tensor:
        """P itself, (d, d). For tests and reports; editing never forms it."""
        return self.project(torch.eye(self.d, dtype=torch.float64))
