"""Every integer program by name: the closed list that simulators, exporters and cost models read."""

from __future__ import annotations

from liquid_neuro.cells import cfc_heads, cfc_integer, cfc_library, lstm_integer, ltc_integer, ltc_recalled
from liquid_neuro.cells.integer import Program

_SPIKING = (
    *ltc_integer.PROGRAMS,
    *cfc_integer.PROGRAMS,
    *lstm_integer.PROGRAMS,
    *ltc_recalled.PROGRAMS,
    *cfc_library.LIBRARY_PROGRAMS,
)

PROGRAMS: dict[str, Program] = {**{program.name: program for program in _SPIKING}, **cfc_heads.HEAD_PROGRAMS}
