"""The rules of synapse lists, roles and layers: each list comes out checked, sorted and read-only; each broken rule is one sentence."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from liquid_neuro.checks import is_whole
from liquid_neuro.wiring_draws import Synapses

Int32Array = npt.NDArray[np.int32]
Int8Array = npt.NDArray[np.int8]

ROLES = ("unknown", "inter", "command", "motor")
UNKNOWN, INTER, COMMAND, MOTOR = range(4)
LARGEST = 2**31 - 1  # unit numbers are 32-bit integers


def check_sizes(inputs: int, units: int, outputs: int) -> None:
    """ValueError unless inputs, units and outputs are sizes that fit together."""
    for name, size in (("inputs", inputs), ("units", units), ("outputs", outputs)):
        if not is_whole(size):
            raise ValueError(f"{name} must be a whole number, but is {size!r:.80}")
        if size > LARGEST:
            raise ValueError(f"{name} must be at most {LARGEST}, but is {size}")
    if inputs < 0:
        raise ValueError(f"inputs must be at least 0, but is {inputs}")
    if units < 1:
        raise ValueError(f"units must be at least 1, but is {units}")
    if not 1 <= outputs <= units:
        raise ValueError(f"outputs must be 1 to the number of units, {units}, but is {outputs}")


def motor_then_inter(units: int, outputs: int) -> Int8Array:
    """The roles of a wiring without layers: outputs are motor neurons, the others inter."""
    roles = np.full(units, INTER, dtype=np.int8)
    roles[:outputs] = MOTOR
    return roles


def role_code(role: int | str) -> int:
    """The code of a role given by name or code."""
    if isinstance(role, str) and role in ROLES:
        return ROLES.index(role)
    if not is_whole(role) or not 0 <= int(role) < len(ROLES):
        raise ValueError(f'a role must be one of {", ".join(ROLES)}, but is "{role}"')
    return int(role)


def checked_roles(roles: npt.ArrayLike, units: int) -> npt.NDArray[Any]:
    """The roles' codes as an array. ValueError unless there is one per unit."""
    codes = np.asarray(roles)
    if codes.shape != (units,):
        raise ValueError(f"roles must hold one role per unit, {units}, but has shape {codes.shape}")
    if not np.isin(codes, range(len(ROLES))).all():
        raise ValueError(
            f"roles must be codes 0 to {len(ROLES) - 1} ({', '.join(ROLES)}), but holds {codes[~np.isin(codes, range(len(ROLES)))][0]}"
        )
    return codes


def checked_layers(layers: Any) -> tuple[tuple[int, ...], ...]:
    """The layers as tuples of integers. ValueError where they are none."""
    try:
        return tuple(tuple(operator.index(unit) for unit in layer) for layer in layers)
    except TypeError:
        raise ValueError(f"layers must be lists of unit numbers, but are {layers!r:.80}") from None


def check_layers(layers: tuple[tuple[int, ...], ...], units: int) -> None:
    """ValueError unless the layers hold each unit exactly once."""
    if layers and sorted(unit for layer in layers for unit in layer) != list(range(units)):
        raise ValueError(f"layers must hold each of the {units} units exactly once, but are {layers}")
    if any(not layer for layer in layers):
        raise ValueError("layers must not be empty, but one has no unit; leave it out")


def nonzero(matrix: npt.NDArray[Any]) -> Synapses:
    """(row, column, entry) where a matrix is not 0."""
    source, target = np.nonzero(matrix)
    return source, target, matrix[source, target]


def read_only_copy(array: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    copy = np.array(array, dtype=dtype, order="C")
    copy.setflags(write=False)
    return copy


def canonical(what: str, synapses: Synapses, sources: int, targets: int) -> tuple[Int32Array, Int32Array, Int8Array]:
    """The synapses checked, sorted by (source, target), read-only."""
    source, target, polarity = (np.asarray(part).reshape(-1) for part in synapses)
    if not len(source) == len(target) == len(polarity):
        raise ValueError(f"{what} lists must be of one length, but are {len(source)}, {len(target)} and {len(polarity)} long")
    for name, index, size in (("source", source, sources), ("target", target, targets)):
        if len(index) and not (index.dtype.kind in "iu" and index.min() >= 0 and index.max() < size):
            raise ValueError(f"{what} {name} must be an integer 0 to {size - 1}, but the values lie in {index.min()} to {index.max()}")
    positive = polarity == 1
    if not (positive | (polarity == -1)).all():
        raise ValueError(f"{what} polarity must be -1 or +1, but is {polarity[~(positive | (polarity == -1))][0]}")
    # One number for all of a synapse, sorted in place: a list of many millions of synapses has no room for a permutation beside it.
    packed = source.astype(np.int64)
    packed *= targets
    packed += target
    packed *= 2
    packed += positive
    packed.sort()
    place = packed >> 1
    repeated = np.flatnonzero(place[1:] == place[:-1])
    if len(repeated):
        first = int(place[repeated[0]])
        raise ValueError(f"{what}s must join each pair at most once, but {first // targets} -> {first % targets} occurs several times")
    signs = (packed & 1).astype(np.int8) * np.int8(2) - np.int8(1)
    source, target = np.divmod(place, targets)
    return read_only_copy(source, np.int32), read_only_copy(target, np.int32), read_only_copy(signs, np.int8)


def gap_pairs(matrix: npt.NDArray[Any], units: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The pairs that a symmetric matrix joins. ValueError where it is not one."""
    if matrix.shape != (units, units):
        raise ValueError(f"gap must be a matrix of shape ({units}, {units}), but has shape {matrix.shape}")
    joined = matrix != 0
    if (joined != joined.T).any():
        source, target = np.argwhere(joined != joined.T)[0].tolist()
        raise ValueError(f"gap must be symmetric, but [{source}, {target}] and [{target}, {source}] differ; give gap + gap.T")
    source, target = np.nonzero(np.triu(joined))
    return source, target


def canonical_gaps(source: npt.ArrayLike, target: npt.ArrayLike, units: int) -> tuple[Int32Array, Int32Array]:
    """The gap junctions checked, sorted, read-only, with source < target."""
    ends = [np.asarray(end).reshape(-1) for end in (source, target)]
    if len(ends[0]) != len(ends[1]):
        raise ValueError(f"gap junction lists must be of one length, but are {len(ends[0])} and {len(ends[1])} long")
    for end in ends:
        if len(end) and not (end.dtype.kind in "iu" and end.min() >= 0 and end.max() < units):
            raise ValueError(f"a gap junction must join units 0 to {units - 1}, but the values lie in {end.min()} to {end.max()}")
    low, high = np.minimum(*ends), np.maximum(*ends)
    if (low == high).any():
        raise ValueError(f"a gap junction must join two units, but one joins unit {low[low == high][0]} to itself; leave it out")
    order = np.lexsort((high, low))
    low, high = low[order], high[order]
    repeated = np.flatnonzero((np.diff(low) == 0) & (np.diff(high) == 0))
    if len(repeated):
        raise ValueError(f"gap junctions must join each pair at most once, but {low[repeated[0]]} and {high[repeated[0]]} are joined twice")
    return read_only_copy(low, np.int32), read_only_copy(high, np.int32)
