"""AlphaEdit: every change lies in the null space of the keys of preserved knowledge."""

from editing.editors.method import Method
from editing.linalg.solvers import ProjectedRidge

ALPHAEDIT = Method(
    name="alphaedit",
    source="AlphaEdit: Null-Space Constrained Knowledge Editing (arXiv 2410.02355), equation 14",
    solver=ProjectedRidge,
)
