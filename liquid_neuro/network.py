"""The network as a value: a wiring, parameters, a solver, and what its inputs and outputs mean."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from liquid_neuro.checks import as_numbers, check_flag, is_number, is_whole
from liquid_neuro.wiring import Wiring

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fused:
    """ncps' solver: `unfolds` semi-implicit sub-steps per sample, inputs held, all neurons updated from the old states."""

    unfolds: int = 6

    def __post_init__(self) -> None:
        if not is_whole(self.unfolds) or self.unfolds < 1:
            raise ValueError(f"Fused.unfolds must be at least 1 and whole, but is {self.unfolds!r}")
        object.__setattr__(self, "unfolds", int(self.unfolds))

    def __str__(self) -> str:
        return f"fused({self.unfolds})"


@dataclass(frozen=True)
class Exact:
    """The ordinary differential equation itself, without a time step."""

    def __str__(self) -> str:
        return "exact"


@dataclass(frozen=True)
class ClosedForm:
    """CfC's solver: one closed-form step per sample."""

    def __str__(self) -> str:
        return "closed form"


Solver = Fused | Exact | ClosedForm


@dataclass(frozen=True)
class LTCSettings:
    """What an LTC's equations need beside its parameters.

    softplus: w, sensory_w, cm and gleak pass through softplus (ncps' implicit constraints). epsilon: enters fused steps alone.
    """

    softplus: bool = True
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        check_flag("LTCSettings.softplus", self.softplus)
        if not is_number(self.epsilon):
            raise ValueError(f"LTCSettings.epsilon must be a number of at least 0, but is {self.epsilon!r:.80}")
        object.__setattr__(self, "softplus", bool(self.softplus))
        object.__setattr__(self, "epsilon", float(self.epsilon))


@dataclass(frozen=True)
class CfCSettings:
    """What a CfC's equations need beside its parameters. mode: default, pure or no_gate; dialect: torch or keras (liquid_neuro/ncps.py)."""

    mode: str = "default"
    activation: str = "lecun_tanh"
    dialect: str = "torch"


@dataclass(frozen=True)
class Interface:
    """What inputs and outputs mean, so that a file alone can be used. Empty fields are unknown.

    input_mean, input_scale: raw measurements enter the network as (raw - mean) / scale.
    decision: "threshold" (one motor: 1 where y > threshold), "argmax" (several), or "" (the output itself is the answer).
    """

    channels: tuple[str, ...] = ()
    channel_units: tuple[str, ...] = ()
    input_mean: tuple[float, ...] = ()
    input_scale: tuple[float, ...] = ()
    outputs: tuple[str, ...] = ()
    decision: str = ""
    threshold: float = 0.0

    def __post_init__(self) -> None:
        for name, kind in (("channels", str), ("channel_units", str), ("input_mean", float), ("input_scale", float), ("outputs", str)):
            values = getattr(self, name)
            if isinstance(values, str) or not isinstance(values, Iterable):
                raise ValueError(f"interface.{name} must be a sequence, but is {values!r:.80}")
            values = tuple(values)
            wrong = [value for value in values if not (isinstance(value, str) if kind is str else is_number(value))]
            if wrong:
                raise ValueError(f"interface.{name} must hold {'texts' if kind is str else 'numbers'}, but holds {wrong[0]!r:.80}")
            object.__setattr__(self, name, tuple(kind(value) for value in values))
        if not is_number(self.threshold):
            raise ValueError(f"interface.threshold must be a number, but is {self.threshold!r:.80}")
        object.__setattr__(self, "threshold", float(self.threshold))


def _frozen(name: str, array: Any) -> FloatArray:
    """A read-only float64 copy, or the array itself where nobody can write to it: large networks share their parameters."""
    plain = isinstance(array, np.ndarray) and array.dtype == np.float64 and array.base is None and array.flags.c_contiguous
    if plain and not array.flags.writeable:
        return array  # type: ignore[no-any-return]
    copy = np.array(as_numbers(f"parameter {name}", array), order="C")
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, eq=False)
class LiquidNetwork:
    """A liquid network: immutable; every change is a new object.

    parameters: read-only float64 arrays under ncps' names, raw (before softplus). An LTC's synapse parameters (w, sigma, mu, erev and
    sensory_…) are vectors over the wiring's synapse list; a CfC's are matrices (target, source). The tables of names, meanings, shapes and
    units stand in liquid_neuro/cells/ltc.py and cfc.py.
    wiring: None for a CfC without one (fully connected). A wired CfC runs the wiring's layers in order.
    """

    cell: str
    inputs: int
    units: int
    outputs: int
    parameters: Mapping[str, FloatArray]
    settings: LTCSettings | CfCSettings
    solver: Solver
    wiring: Wiring | None = None
    interface: Interface = field(default_factory=Interface)
    time_unit_s: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.parameters, Mapping):
            raise ValueError(f"parameters must be arrays by name, but are {self.parameters!r:.80}")
        parameters = {name: _frozen(name, value) for name, value in self.parameters.items()}
        object.__setattr__(self, "parameters", MappingProxyType(parameters))
        for name in ("inputs", "units", "outputs"):
            size = getattr(self, name)
            object.__setattr__(self, name, int(size) if is_whole(size) else size)
        object.__setattr__(self, "time_unit_s", float(self.time_unit_s) if is_number(self.time_unit_s) else self.time_unit_s)
        from liquid_neuro.validation import validate  # the rules read the cells, which read this module

        validate(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles by value: a read-only view of a dictionary cannot be pickled itself."""
        values = (getattr(self, item.name) for item in fields(self))
        return LiquidNetwork, tuple(dict(value) if isinstance(value, MappingProxyType) else value for value in values)

    @property
    def mixed_memory(self) -> bool:
        """Whether an LSTM cell carries memory beside the liquid state (the state is then (h, c))."""
        return "lstm.input_map.weight" in self.parameters

    @property
    def labels(self) -> tuple[str, ...]:
        """One name per unit in state order, e.g. motor_0, command_3; role unknown_ where a checkpoint does not tell."""
        from liquid_neuro.wiring import state_labels

        return state_labels(self.wiring, self.units, self.cell)

    @cached_property
    def fingerprint(self) -> str:
        """A digest of all that decides what the network computes: states of a run belong to networks of one fingerprint."""
        plain = (self.cell, self.inputs, self.units, self.outputs, self.settings, self.solver, self.time_unit_s)
        digest = hashlib.blake2b(repr(plain).encode(), digest_size=16)
        wiring = () if self.wiring is None else [getattr(self.wiring, item.name) for item in fields(self.wiring)]
        for name, value in (*enumerate(wiring), *sorted(self.parameters.items())):
            digest.update(f"{name}".encode())
            digest.update(np.ascontiguousarray(value) if isinstance(value, np.ndarray) else repr(value).encode())
        return digest.hexdigest()

    def with_solver(self, solver: Solver | str) -> LiquidNetwork:
        """The same weights under another solver: "exact", "fused" or an object. They then compute something else: measure the gap."""
        return replace(self, solver=as_solver(solver))

    def with_parameters(self, parameters: Mapping[str, Any]) -> LiquidNetwork:
        """The same network with some parameters replaced."""
        if not isinstance(parameters, Mapping):
            raise ValueError(f"parameters must be arrays by name, but are {parameters!r:.80}")
        return replace(self, parameters={**self.parameters, **parameters})


def as_solver(solver: Solver | str) -> Solver:
    """A solver from its name ("fused" = Fused(6), "exact", "closed form") or itself."""
    named: dict[str, Solver] = {"fused": Fused(), "exact": Exact(), "closed form": ClosedForm()}
    if isinstance(solver, str):
        if solver not in named:
            raise ValueError(f'solver must be "fused", "exact", Fused(unfolds) or Exact(), but is "{solver}"')
        return named[solver]
    return solver
