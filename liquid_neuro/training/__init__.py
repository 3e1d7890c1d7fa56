"""Training in JAX: the twin of `liquid_neuro.integrate`, the fit, and training through the chips' own arithmetic.

Needs the extra `train` (JAX and optax); nothing outside this package imports JAX. Gradients are those of the discretised network
(discretise, then optimise): they are exact, while integrating an adjoint equation backwards is wrong on stiff liquid networks.
"""

from importlib.util import find_spec

_missing = [name for name in ("jax", "optax") if find_spec(name) is None]
if _missing:
    raise ImportError(
        f'training needs {" and ".join(_missing)}, which are not installed; install "liquid-neuro[train]" on Python 3.11 or later',
        name=_missing[0],
    )
