"""The same source under other primitives: how one definition of a neuron gets many interpreters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

_OURS = ("liquid_neuro.cells.", "hardware_profiles.fixed_point")


def with_primitives(function: Callable[..., Any], namespace: Mapping[str, Any]) -> Callable[..., Any]:
    """A copy of `function` that finds the names in `namespace` there, and everything else where the original does.

    The functions of the cells and of fixed_point that it calls are copied in the same way, all the way down, so that a new `round_shift`
    reaches every helper. A name in `namespace` (a primitive or a helper such as `interpolate`) is taken as it stands there.
    """
    return _copy(function, dict(namespace), {})


def _copy(function: Callable[..., Any], namespace: dict[str, Any], done: dict[Any, FunctionType]) -> FunctionType:
    if not isinstance(function, FunctionType):
        raise TypeError(f"`function` must be a plain Python function, but is {type(function).__name__}")
    if function in done:
        return done[function]
    names = {**function.__globals__, **namespace}
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__doc__ = function.__doc__
    done[function] = copy
    for name in function.__code__.co_names:
        callee = function.__globals__.get(name)
        if name not in namespace and isinstance(callee, FunctionType) and callee.__module__.startswith(_OURS):
            names[name] = _copy(callee, namespace, done)
    return copy
