"""The connectome of C. elegans as a wiring: 302 neurons, chemical synapses and gap junctions (data and licences: data/celegans)."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
import numpy.typing as npt

from liquid_neuro.wiring import INTER, MOTOR, UNKNOWN, Wiring

IntArray = npt.NDArray[np.int32]
# Gentle touch (Chalfie et al., "The neural circuit for touch sensitivity in Caenorhabditis elegans", Journal of Neuroscience 5, 956-964
# (1985)): of the anterior body, which reverses, and of the posterior, which moves forward. AVA and AVB are the command neurons of the two.
TOUCH = {"anterior touch": ("ALML", "ALMR", "AVM"), "posterior touch": ("PLML", "PLMR")}
COMMAND = ("AVAL", "AVAR", "AVBL", "AVBR")


@dataclass(frozen=True, eq=False)
class Connectome:
    """names, types ("sensory", "inter", "motor", "polymodal" or "unknown"): of the neurons, by unit. channels: of the inputs.

    contacts (synapses,), gap_contacts (gap junctions,): how many contacts were seen, in the order of the wiring's lists.
    """

    wiring: Wiring
    names: tuple[str, ...]
    types: tuple[str, ...]
    channels: tuple[str, ...]
    contacts: IntArray
    gap_contacts: IntArray

    def unit(self, name: str) -> int:
        """The unit of the neuron of that name."""
        if name not in self.names:
            raise ValueError(f'a neuron must have a name of the connectome, such as "AVAL", but is {name!r:.80}')
        return self.names.index(name)


def celegans(inputs: Mapping[str, Sequence[str]] = TOUCH, outputs: Sequence[str] = COMMAND, gap: bool = True) -> Connectome:
    """The connectome with an input channel to each named group of neurons. The outputs are units 0, 1, …, the others follow by name.

    A synapse's polarity is -1 where the presynaptic neuron's transmitter is GABA, +1 otherwise (for 312 connections the transmitter is
    neither GABA nor acetylcholine nor glutamate: theirs is a guess). gap: with gap junctions (552 pairs; 5 of a neuron with itself are left
    out, because they carry no current). Roles of units: "motor" for the outputs, "inter" for interneurons, else "unknown".
    """
    table = _rows("neurons.csv.gz")
    types = {row["name"]: row["type"] for row in table}
    for name in (*outputs, *(name for group in inputs.values() for name in group)):
        if name not in types:
            raise ValueError(f'a neuron must have a name of the connectome, such as "AVAL", but is {name!r:.80}')
    names = (*outputs, *sorted(name for name in types if name not in outputs))
    number = {name: unit for unit, name in enumerate(names)}
    chemical, electrical = [], []
    for row in _rows("synapses.csv.gz"):
        ends, contacts = (number[row["pre"]], number[row["post"]]), int(row["weight"])
        if row["type"] == "chemical":
            chemical.append((*ends, int(row["sign"]) or 1, contacts))
        elif ends[0] != ends[1]:
            electrical.append((min(ends), max(ends), contacts))
    source, target, polarity, contacts_of = np.array(sorted(chemical), dtype=np.int32).T
    low, high, gap_contacts = np.array(sorted(electrical) if gap else [], dtype=np.int32).reshape(-1, 3).T
    driven = sorted((channel, number[name]) for channel, group in enumerate(inputs.values()) for name in group)
    channel, heard = np.array(driven, dtype=np.int32).reshape(-1, 2).T
    roles = np.array([INTER if types[name] == "inter" else UNKNOWN for name in names], dtype=np.int8)
    roles[: len(outputs)] = MOTOR
    sensory = (channel, heard, np.ones(len(channel), dtype=np.int8))
    signs = polarity.astype(np.int8)
    wiring = Wiring(len(inputs), len(names), len(outputs), source, target, signs, *sensory, roles, (), low, high)
    return Connectome(wiring, names, tuple(types[name] for name in names), tuple(inputs), contacts_of, gap_contacts)


def _rows(name: str) -> list[dict[str, str]]:
    packed = resources.files("liquid_neuro").joinpath("data", "celegans", name).read_bytes()
    return list(csv.DictReader(io.StringIO(gzip.decompress(packed).decode())))
