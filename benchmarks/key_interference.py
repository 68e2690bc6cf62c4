"""How much earlier edits restrict later ones: new keys compared with the keys that a solver already holds."""

from __future__ import annotations

import torch
from torch import Tensor


def free_share(held: Tensor, keys: Tensor) -> Tensor:
    """The share of each key (d, m) that held keys H (d, n) leave free: kᵀ(I + H Hᵀ)⁻¹k / kᵀk, in (0, 1].

    Both are whitened: the solver's matrix without the keys of edits is the identity. A ridge solver reduces a single
    residual to kᵀA⁻¹k / (1 + kᵀA⁻¹k) of its length; this is the share of kᵀA⁻¹k that remains. By Woodbury,
    kᵀ(I + H Hᵀ)⁻¹k = kᵀk − ‖L⁻¹Hᵀk‖² with L Lᵀ = I + HᵀH: n³/3 + n²·m operations, and no d × d matrix.
    """
    if held.shape[1] == 0:
        return torch.ones(keys.shape[1], dtype=torch.float64)
    held, keys = held.double(), keys.double()
    factor = torch.linalg.cholesky(torch.eye(held.shape[1], dtype=torch.float64) + held.T @ held)
    used = torch.linalg.solve_triangular(factor, held.T @ keys, upper=False).square().sum(0)
    share: Tensor = 1 - used / keys.square().sum(0)
    return share.clamp(0, 1)


def count_outweighed(held: Tensor) -> int:
    """The number of directions in which whitened held keys (d, n) outweigh the rest of the solver's matrix.

    These are the eigenvalues of H Hᵀ above 1.
    """
    held = held.double()
    inner = held.T @ held if held.shape[1] <= held.shape[0] else held @ held.T
    return int((torch.linalg.eigvalsh(inner) > 1).sum())
