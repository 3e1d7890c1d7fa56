"""Every integer program by name: the closed list that simulators, exporters and cost models read."""

from __future__ import annotations

from liquid_neuro.cells import cfc_heads, cfc_integer, ltc_integer
from liquid_neuro.cells.integer import Program

_SPIKING = (
    ltc_integer.GATE,
    ltc_integer.NEURON,
    cfc_integer.UNIT,
    cfc_integer.UNIT_NO_GATE,
    cfc_integer.UNIT_PURE,
    cfc_integer.BACKBONE,
)

PROGRAMS: dict[str, Program] = {**{program.name: program for program in _SPIKING}, **cfc_heads.HEAD_PROGRAMS}
