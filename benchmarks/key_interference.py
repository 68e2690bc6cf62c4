"""How much earlier edits restrict later ones: new keys compared with the keys that a solver holds already."""

from __future__ import annotations

import torch
from torch import Tensor


def room(held: Tensor, keys: Tensor) -> Tensor:
    """The share of each key (d, m) that is still free beside those held (d, n): kᵀ(I + H Hᵀ)⁻¹k / kᵀk, in (0, 1].

    Both are whitened: what holds a solver beside the keys of edits counts as the identity. A solver of ridge form
    brings a single residual to kᵀA⁻¹k / (1 + kᵀA⁻¹k) of its length, and this is the share that is left of kᵀA⁻¹k.
    By Woodbury kᵀ(I + H Hᵀ)⁻¹k = kᵀk − ‖L⁻¹Hᵀk‖² with L Lᵀ = I + HᵀH: n³/3 + n²·m operations, and no d × d matrix.
    """
    if held.shape[1] == 0:
        return torch.ones(keys.shape[1], dtype=torch.float64)
    held, keys = held.double(), keys.double()
    factor = torch.linalg.cholesky(torch.eye(held.shape[1], dtype=torch.float64) + held.T @ held)
    taken = torch.linalg.solve_triangular(factor, held.T @ keys, upper=False).square().sum(0)
    share: Tensor = 1 - taken / keys.square().sum(0)
    return share.clamp(0, 1)


def outweighed(held: Tensor) -> int:
    """In how many directions the keys held (d, n), whitened, weigh more than what held before them: eigenvalues of
    H Hᵀ above 1."""
    held = held.double()
    inner = held.T @ held if held.shape[1] <= held.shape[0] else held @ held.T
    return int((torch.linalg.eigvalsh(inner) > 1).sum())
