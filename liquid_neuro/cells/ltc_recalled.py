"""LTC with mixed memory in integers: neurons that begin every sample at what the memory recalled, in phase with a clock.

The memory (lstm_integer.py) hears the states at the end of a sample and the next inputs; its h~ replaces the states before the first
sub-step. A neuron's turn has a phase, which one clock compartment tells all neurons::

    hold × H    the state stays: messages of the last sub-step reach the memory, which takes three ticks
    recall × R  the state becomes h~
    step × U    the sub-steps of ltc_integer.py

H = R = 1 under the target fused(U); 2 under "exact", whose messages run ahead of a state that moved: a turn more, and they tell the state
itself. The clock counts U - 1 .. 0 in the sub-steps and in strides of U + 1 above them::

    phase < U: step     U <= phase < hold: recall     hold <= phase: hold

so that with a threshold of U steps it sends a message per turn before the sub-steps, and one as they begin.
"""

from __future__ import annotations

from typing import Any

from hardware_profiles.fixed_point import left_shift, select
from liquid_neuro.cells.integer import Program
from liquid_neuro.cells.ltc_integer import EXACT, EXACT_TIMED, NEURON, NEURON_TIMED, exact, exact_timed, neuron, neuron_timed


def clock(state: Any, top: Any, unfolds: Any) -> Any:
    """The next phase; `top` is that of a sample's first turn."""
    return select(state > 0, state - select(state < unfolds, 1, unfolds + 1), top)


def by_phase(state: Any, after: Any, recalled: Any, phase: Any, unfolds: Any, hold: Any) -> Any:
    """The state `after` a sub-step, the `recalled` one or the present one, as the phase says."""
    return select(phase < unfolds, after, select(phase < hold, recalled, state))


def neuron_recalled(
    state: Any,
    conductance: Any,
    driven: Any,
    recalled: Any,
    phase: Any,
    capacitance: Any,
    leak: Any,
    driven_leak: Any,
    ratio: Any,
    ratio_shift: Any,
    fraction: Any,
    guard: Any,
    unfolds: Any,
    hold: Any,
    recalled_shift: Any,
    reciprocal: Any,
) -> Any:
    """As `neuron` in a sub-step. recalled: h~ with recalled_shift fraction bits less than the state."""
    after = neuron(state, conductance, driven, capacitance, leak, driven_leak, ratio, ratio_shift, fraction, guard, reciprocal)
    return by_phase(state, after, left_shift(recalled, recalled_shift), phase, unfolds, hold)


def exact_recalled(
    state: Any,
    conductance: Any,
    driven: Any,
    recalled: Any,
    phase: Any,
    capacitance: Any,
    leak: Any,
    driven_leak: Any,
    ratio: Any,
    ratio_shift: Any,
    fraction: Any,
    guard: Any,
    unfolds: Any,
    hold: Any,
    recalled_shift: Any,
    reciprocal: Any,
    exponential: Any,
) -> Any:
    """As `exact` in a sub-step; see `neuron_recalled`."""
    after = exact(state, conductance, driven, capacitance, leak, driven_leak, ratio, ratio_shift, fraction, guard, reciprocal, exponential)
    return by_phase(state, after, left_shift(recalled, recalled_shift), phase, unfolds, hold)


def neuron_timed_recalled(
    state: Any,
    conductance: Any,
    driven: Any,
    elapsed: Any,
    recalled: Any,
    phase: Any,
    capacitance: Any,
    exponent: Any,
    leak: Any,
    driven_leak: Any,
    ratio: Any,
    ratio_shift: Any,
    fraction: Any,
    guard: Any,
    unfolds: Any,
    hold: Any,
    recalled_shift: Any,
    reciprocal: Any,
) -> Any:
    """As `neuron_timed` in a sub-step; see `neuron_recalled`. dt = 0 leaves v, whatever is recalled."""
    after = neuron_timed(
        state, conductance, driven, elapsed, capacitance, exponent, leak, driven_leak, ratio, ratio_shift, fraction, guard, reciprocal
    )
    begun = select(elapsed > 0, left_shift(recalled, recalled_shift), state)
    return by_phase(state, after, begun, phase, unfolds, hold)


def exact_timed_recalled(
    state: Any,
    conductance: Any,
    driven: Any,
    elapsed: Any,
    recalled: Any,
    phase: Any,
    capacitance: Any,
    exponent: Any,
    leak: Any,
    driven_leak: Any,
    ratio: Any,
    ratio_shift: Any,
    fraction: Any,
    guard: Any,
    unfolds: Any,
    hold: Any,
    recalled_shift: Any,
    reciprocal: Any,
    exponential: Any,
) -> Any:
    """As `exact_timed` in a sub-step; see `neuron_timed_recalled`."""
    after = exact_timed(
        state,
        conductance,
        driven,
        elapsed,
        capacitance,
        exponent,
        leak,
        driven_leak,
        ratio,
        ratio_shift,
        fraction,
        guard,
        reciprocal,
        exponential,
    )
    begun = select(elapsed > 0, left_shift(recalled, recalled_shift), state)
    return by_phase(state, after, begun, phase, unfolds, hold)


def _recalled(program: Program, function: Any) -> Program:
    ports, parameters = (*program.ports, "recalled", "phase"), (*program.parameters, "unfolds", "hold", "recalled_shift")
    return Program(f"{program.name}_recalled", function, ports, parameters, program.tables, False, True, program.entries)


CLOCK = Program("ltc.clock", clock, (), ("top", "unfolds"), (), False, False)
NEURON_RECALLED = _recalled(NEURON, neuron_recalled)
EXACT_RECALLED = _recalled(EXACT, exact_recalled)
NEURON_TIMED_RECALLED = _recalled(NEURON_TIMED, neuron_timed_recalled)
EXACT_TIMED_RECALLED = _recalled(EXACT_TIMED, exact_timed_recalled)
RECALLED = {
    NEURON.name: NEURON_RECALLED,
    EXACT.name: EXACT_RECALLED,
    NEURON_TIMED.name: NEURON_TIMED_RECALLED,
    EXACT_TIMED.name: EXACT_TIMED_RECALLED,
}
PROGRAMS = (CLOCK, *RECALLED.values())
