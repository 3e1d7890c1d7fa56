"""What turns an LTC into integers: every choice of formats, and the rounding of its parameters, shared by quantisation and training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware_profiles.fixed_point import QFormat, round_half_up
from liquid_neuro.cells.integer import ARGUMENT_FRACTION, elapsed_format, sigmoid_table, whole
from liquid_neuro.cells.lstm_formats import MapIntegers, MemoryFormats, memory_integers, memory_tables
from liquid_neuro.cells.ltc_integer import CAPACITANCE_BITS, HIGHEST_SUM, exponential_table, reciprocal_table
from liquid_neuro.quantized_network import IntArray

FloatArray = npt.NDArray[np.float64]
NO_CAPACITANCE = -63  # the exponent of 0: below that of everything else


@dataclass(frozen=True, eq=False)
class LTCFormats:
    """Every choice that turns an LTC into integers; enough to build it again from other float parameters.

    input, state, message: formats of the input words, the neurons' words and their messages. gate_bits: fraction bits of gate messages.
    gain_fraction, sensory_gain_fraction: fraction bits of the gates' gains. conductance_scale: of all weights, or (units,) of those into
    each neuron, whose sums and leaks are in units of its own. ratio, ratio_shift: see the head of ltc_integer.py.
    timespan: model units per sample; the longest where they differ (`irregular`). The thresholds count steps of the message; 1 sends
    every change. unfolds: sub-steps per sample. exact: whether they follow the differential equation, not the semi-implicit step.
    gate_mean, sensory_gate_mean: the mean of each synapse's sigmoid over the calibration (0 where nobody knows). The rounding errors of
    weights, times these means, are constant currents on average: they are taken back in leak and driven_leak, at no cost on the chip.
    nudge, sensory_nudge: steps (2, synapses) by which conductance and driven weights leave their nearest grid points, so that the errors of
    a neuron's weights cancel over the calibration too (0 where nobody knows).
    memory: None without mixed memory. input_bound: |inputs| for which no sum of the memory overflows; 0 without one.
    """

    weight_bits: int
    input: QFormat
    state: QFormat
    message: QFormat
    gate_bits: int
    gain_fraction: int
    sensory_gain_fraction: int
    conductance_scale: float | FloatArray
    ratio: int
    ratio_shift: int
    timespan: float
    unfolds: int
    gate_mean: FloatArray
    sensory_gate_mean: FloatArray
    nudge: FloatArray
    sensory_nudge: FloatArray
    input_threshold: int = 1
    neuron_threshold: int = 1
    gate_threshold: int = 1
    accumulator_bits: int = 24
    irregular: bool = False
    exact: bool = False
    memory: MemoryFormats | None = None
    memory_threshold: int = 1
    input_bound: float = 0.0

    @property
    def held(self) -> int:
        """Turns of holding, and as many of recalling, before the sub-steps (ltc_recalled.py)."""
        return turns_before(self.memory is not None, self.exact) // 2

    @property
    def ticks_per_sample(self) -> int:
        """Neurons advance on every second tick, gates settle in between."""
        return 2 * (turns_before(self.memory is not None, self.exact) + self.unfolds)

    @property
    def shown_shift(self) -> int:
        """From the word of h~ to its message, which has no more fraction bits than the state."""
        return 0 if self.memory is None else max(self.memory.state.fraction_bits - self.state.fraction_bits, 0)

    @property
    def recalled_shift(self) -> int:
        """From the message of h~ to the state word."""
        return 0 if self.memory is None else self.state.fraction_bits - self.memory.state.fraction_bits + self.shown_shift

    @property
    def unit(self) -> Any:
        """The real conductance of one accumulator step; a number or (units,)."""
        return self.conductance_scale * 2.0**-self.gate_bits

    @property
    def driven_scale(self) -> Any:
        """The real value of one step of a driven weight; a number or (units,)."""
        return self.conductance_scale * self.ratio * 2.0**-self.ratio_shift

    @property
    def guard(self) -> int:
        """Fraction bits of the state word below the 16 bits that enter products."""
        return max(self.state.bits - 16, 0)

    @property
    def fraction(self) -> int:
        """Fraction bits of v in products."""
        return self.state.fraction_bits - self.guard

    @property
    def message_shift(self) -> int:
        """From the state word to the message."""
        return self.state.fraction_bits - self.message.fraction_bits

    @property
    def weight_step(self) -> int:
        """Chips with fewer weight bits drop the low ones: the step of conductance weights."""
        return 1 << (8 - self.weight_bits)

    @property
    def driven_step(self) -> int:
        """The step of driven weights (signed weights are even)."""
        return 2 << (8 - self.weight_bits)

    @property
    def elapsed(self) -> QFormat:
        """The words of timespans, where samples last differently long."""
        return elapsed_format(self.timespan)

    @property
    def relay_gain(self) -> tuple[int, int]:
        """(gain, gain_shift) that bring a neuron's message to gate_bits."""
        wider = self.gate_bits - self.message.fraction_bits
        return (1 << wider, 0) if wider > 0 else (1, -wider)


def turns_before(mixed_memory: bool, exact: bool) -> int:
    """Turns of the neurons before a sample's sub-steps, half of them holding, half recalling: messages of the exact solver run ahead of
    states that move, and take a turn more to tell them."""
    return (4 if exact else 2) if mixed_memory else 0


@dataclass(frozen=True)
class LTCIntegers:
    """The integer parameters, one entry per synapse (recurrent: …; from inputs: sensory_…), gap junction (each way) or neuron.

    Whole floats or int64. capacitance: C in units of the accumulator; where samples last differently long cm U is capacitance 2**exponent
    in units of the accumulator times steps of `elapsed`. memory: its dense maps by gate (none without mixed memory).
    """

    gain: Any
    offset: Any
    conductance: Any
    driven: Any
    sensory_gain: Any
    sensory_offset: Any
    sensory_conductance: Any
    sensory_driven: Any
    gap: Any
    capacitance: Any
    exponent: Any
    leak: Any
    driven_leak: Any
    memory: MapIntegers = field(default_factory=dict)

    def as_int64(self) -> LTCIntegers:
        """The same as int64 arrays."""
        memory = {gate: (whole(weight), whole(bias)) for gate, (weight, bias) in self.memory.items()}
        return LTCIntegers(**{name: whole(value) for name, value in vars(self).items() if name != "memory"}, memory=memory)


def integer_parameters(values: Any, formats: LTCFormats, xp: Any = np, rounding: Callable[[Any], Any] = round_half_up) -> LTCIntegers:
    """The parameters on their grids: round_half_up(value / scale), weights nudged, then clipped to the grid's ends.

    values: effective parameters (`liquid_neuro.cells.ltc.effective` or the same names with JAX arrays). The map of the inputs,
    u = input_w x + input_b, is folded into the sensory gates. A gap junction's conductance is that of its rounded weight, so that it
    carries no current between equal potentials.
    xp, rounding: NumPy and round_half_up; training brings JAX and a rounding with a straight-through gradient.
    """

    def into(target: Any) -> tuple[Any, Any]:
        return tuple(np.broadcast_to(scale, units)[target] for scale in (formats.conductance_scale, formats.driven_scale))

    def conductance(w: Any, scale: Any, nudge: Any) -> Any:
        step = formats.weight_step
        return step * xp.clip(rounding(w / (step * scale)) + nudge[0], 0, 255 // step)

    def driven(real: Any, scale: Any, nudge: Any) -> Any:
        step = formats.driven_step
        return step * xp.clip(rounding(real / (step * scale)) + nudge[1], -(254 // step), 254 // step)

    def sum_units(real: Any) -> Any:
        return xp.clip(rounding(real / formats.unit), -HIGHEST_SUM, HIGHEST_SUM)

    def lost(real: Any, integer: Any, scale: Any, target: Any, mean: Any) -> Any:
        return xp.bincount(target, weights=(real - integer * scale) * mean, minlength=units)

    units = values.cm.shape[0]
    scales, sensory_scales, gap_scale = into(values.target), into(values.sensory_target), into(values.gap_target)[1]
    real, sensory_real = (values.w, values.w * values.erev), (values.sensory_w, values.sensory_w * values.sensory_erev)
    recurrent = conductance(real[0], scales[0], formats.nudge), driven(real[1], scales[1], formats.nudge)
    sensory = (
        conductance(sensory_real[0], sensory_scales[0], formats.sensory_nudge),
        driven(sensory_real[1], sensory_scales[1], formats.sensory_nudge),
    )
    gap = driven(values.gap_w, gap_scale, (0, 0))
    leak, driven_leak = (
        lost(real[k], recurrent[k], scales[k], values.target, formats.gate_mean)
        + lost(sensory_real[k], sensory[k], sensory_scales[k], values.sensory_target, formats.sensory_gate_mean)
        for k in range(2)
    )
    joined = xp.bincount(values.gap_target, weights=gap * gap_scale, minlength=units)
    capacitance, exponent = _capacitance(values.cm, formats, xp, rounding)
    return LTCIntegers(
        **_gates(values, formats, xp, rounding),
        conductance=recurrent[0],
        driven=recurrent[1],
        sensory_conductance=sensory[0],
        sensory_driven=sensory[1],
        gap=gap,
        capacitance=capacitance,
        exponent=exponent,
        leak=xp.maximum(sum_units(values.gleak + leak + joined), 0),
        driven_leak=sum_units(values.gleak * values.vleak + driven_leak),
        memory={} if formats.memory is None else memory_integers(values.lstm, formats.memory, formats.driven_step, xp, rounding),
    )


def _gates(values: Any, formats: LTCFormats, xp: Any, rounding: Callable[[Any], Any]) -> dict[str, Any]:
    """Gains and offsets of all gates, by their names in LTCIntegers; those of inputs with the map of the inputs folded in."""

    def gain(slope: Any, fraction: int) -> Any:
        return xp.clip(rounding(slope * 2.0**fraction), -32767, 32767)

    def offset(real: Any) -> Any:
        return xp.clip(rounding(real * 2.0**ARGUMENT_FRACTION), -(2.0**24), 2.0**24)

    slope = values.sensory_sigma * values.input_w[values.sensory_source]
    shift = values.sensory_sigma * (values.input_b[values.sensory_source] - values.sensory_mu)
    return {
        "gain": gain(values.sigma, formats.gain_fraction),
        "offset": offset(-values.sigma * values.mu),
        "sensory_gain": gain(slope, formats.sensory_gain_fraction),
        "sensory_offset": offset(shift),
    }


def _capacitance(cm: Any, formats: LTCFormats, xp: Any, rounding: Callable[[Any], Any]) -> tuple[Any, Any]:
    """(capacitance, exponent); see LTCIntegers."""
    if not formats.irregular:
        return xp.clip(rounding(cm * (formats.unfolds / formats.timespan) / formats.unit), 0, HIGHEST_SUM), xp.zeros(cm.shape[0])
    real = cm * (formats.unfolds / formats.unit / formats.elapsed.lsb)
    exponent = xp.where(real > 0, xp.frexp(real)[1] - CAPACITANCE_BITS, NO_CAPACITANCE)
    rounded = rounding(xp.ldexp(real, -exponent))
    return xp.clip(rounded, 0, 2.0**CAPACITANCE_BITS - 1.0), exponent + xp.zeros(cm.shape[0])


def tables(formats: LTCFormats) -> dict[str, IntArray]:
    """The look-up tables of all programs by name; that of the memory's sigmoid, which is finer, is "memory_sigmoid"."""
    own = {"sigmoid": sigmoid_table(formats.gate_bits), "reciprocal": reciprocal_table(), "exponential": exponential_table()}
    if formats.memory is None:
        return own
    memory = memory_tables()
    return {**own, "tanh": memory["tanh"], "memory_sigmoid": memory["sigmoid"]}
