"""The liquid time-constant neuron (Hasani et al., arXiv 2006.04439) with conductance synapses, as in ncps.

For neuron j with inputs u = input_w x + input_b held over a sample:

    cm_j v_j' = gleak_j (vleak_j - v_j) + sum_k w_kj sigmoid(sigma_kj (v_k - mu_kj)) (erev_kj - v_j)      (the same for inputs, sensory_…)
                + sum_i gap_w_ij (v_i - v_j)                                                            (over the gap junctions of j)

| parameter | shape | unit | meaning |
|---|---|---|---|
| gleak, vleak, cm | (units,) | conductance, potential, capacitance (conductance x model time) | leak, resting potential, membrane |
| w, sensory_w | (synapses,) | conductance | largest conductance of the synapse |
| sigma, mu (sensory_…) | (synapses,) | 1 / potential, potential | slope and threshold of the synapse's sigmoid |
| erev, sensory_erev | (synapses,) | potential | reversal potential: what the synapse pulls towards |
| gap_w | (gap junctions,) | conductance | of a gap junction, the same both ways; there where the wiring has gap junctions |
| delay, sensory_delay | (synapses,) | model time | optional, >= 0: the synapse hears v_k(t - delay); gap junctions have none |
| input_w, input_b | (inputs,) | - | optional map of the inputs |
| output_w, output_b | (outputs,) | - | optional map of the first `outputs` neurons to y |

Synapse parameters stand in the order of the wiring's synapse lists. With settings.softplus, w, sensory_w, gap_w, cm and gleak are stored
before softplus. Before a run's start a delayed synapse hears the start state, from an input the level held then (0 unless a run is
continued). cm = 0 (no inertia) and gleak = 0 (no leak) are ordinary values: nothing here divides by them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from liquid_neuro.cells import lstm
from liquid_neuro.cells.functions import FloatArray, sigmoid, softplus
from liquid_neuro.checks import freeze_arrays
from liquid_neuro.network import LiquidNetwork, LTCSettings
from liquid_neuro.wiring import Wiring

IndexArray = npt.NDArray[np.int32]
SYNAPSE = ("w", "sigma", "mu", "erev")
CONSTRAINED = ("w", "sensory_w", "cm", "gleak", "gap_w")  # conductances and capacitances: never negative
DELAYS = ("delay", "sensory_delay")
MAPS = ("input_w", "input_b", "output_w", "output_b")


@dataclass(frozen=True, eq=False)
class LTCValues:
    """An LTC's numbers as its equations use them (after softplus), in the order of the wiring's synapse lists.

    input_w, input_b, output_w, output_b are ones and zeros where the network has no such map. epsilon enters fused steps alone.
    gap_source, gap_target, gap_w: every gap junction twice, once each way. delay, sensory_delay: zeros where the network has none.
    """

    inputs: int
    units: int
    outputs: int
    gleak: FloatArray
    vleak: FloatArray
    cm: FloatArray
    source: IndexArray
    target: IndexArray
    w: FloatArray
    sigma: FloatArray
    mu: FloatArray
    erev: FloatArray
    sensory_source: IndexArray
    sensory_target: IndexArray
    sensory_w: FloatArray
    sensory_sigma: FloatArray
    sensory_mu: FloatArray
    sensory_erev: FloatArray
    input_w: FloatArray
    input_b: FloatArray
    output_w: FloatArray
    output_b: FloatArray
    epsilon: float
    lstm: lstm.LSTMValues | None
    gap_source: IndexArray
    gap_target: IndexArray
    gap_w: FloatArray
    delay: FloatArray
    sensory_delay: FloatArray

    def __post_init__(self) -> None:
        freeze_arrays(self)

    @property
    def has_gaps(self) -> bool:
        """Whether gap junctions join neurons."""
        return len(self.gap_w) > 0

    @property
    def has_delays(self) -> bool:
        """Whether some synapse hears the past."""
        return bool((self.delay > 0).any() or (self.sensory_delay > 0).any())


def parameter_shapes(network: LiquidNetwork) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Shapes of the parameters that must be there, and of those that may be."""
    wiring = wiring_of(network)
    required: dict[str, tuple[int, ...]] = dict.fromkeys(("gleak", "vleak", "cm"), (network.units,))
    required |= dict.fromkeys(SYNAPSE, (wiring.synapse_count,))
    required |= dict.fromkeys((f"sensory_{name}" for name in SYNAPSE), (wiring.sensory_synapse_count,))
    optional: dict[str, tuple[int, ...]] = dict.fromkeys(MAPS[:2], (network.inputs,))
    optional |= dict.fromkeys(MAPS[2:], (network.outputs,))
    optional |= {"delay": (wiring.synapse_count,), "sensory_delay": (wiring.sensory_synapse_count,)}
    if wiring.gap_count:
        required["gap_w"] = (wiring.gap_count,)
    if network.mixed_memory:
        required |= lstm.parameter_shapes(network.inputs, network.units)
    return required, optional


def wiring_of(network: LiquidNetwork) -> Wiring:
    """The network's wiring. ValueError without one."""
    if network.wiring is None:
        raise ValueError("wiring must be given for an LTC, but is None; use Wiring.fully_connected for all synapses")
    return network.wiring


_KNOWN: WeakKeyDictionary[LiquidNetwork, LTCValues] = WeakKeyDictionary()  # networks cannot change


def effective(network: LiquidNetwork) -> LTCValues:
    """The network's numbers as the equations use them, kept as long as the network: a run asks for them several times."""
    if network not in _KNOWN:
        _KNOWN[network] = _values_of(network)
    return _KNOWN[network]


def _values_of(network: LiquidNetwork) -> LTCValues:
    if network.cell != "ltc" or not isinstance(network.settings, LTCSettings):
        raise ValueError(f'cell must be "ltc", but is "{network.cell}"')
    wiring, raw = wiring_of(network), network.parameters
    used = {name: softplus(raw[name]) if network.settings.softplus else raw[name] for name in CONSTRAINED if name in raw}
    used["gap_w"] = np.tile(used.get("gap_w", np.zeros(0)), 2)
    counts = {"delay": wiring.synapse_count, "sensory_delay": wiring.sensory_synapse_count}
    delays = {name: raw[name] if name in raw else np.broadcast_to(0.0, count) for name, count in counts.items()}
    plain = ("vleak", "sigma", "mu", "erev", "sensory_sigma", "sensory_mu", "sensory_erev")
    sizes = {"input": network.inputs, "output": network.outputs}
    maps = {name: raw[name] if name in raw else np.full(sizes[name[:-2]], float(name.endswith("w"))) for name in MAPS}
    return LTCValues(
        inputs=network.inputs,
        units=network.units,
        outputs=network.outputs,
        source=wiring.source,
        target=wiring.target,
        sensory_source=wiring.sensory_source,
        sensory_target=wiring.sensory_target,
        epsilon=network.settings.epsilon,
        lstm=lstm.effective(network),
        gap_source=np.concatenate([wiring.gap_source, wiring.gap_target]),
        gap_target=np.concatenate([wiring.gap_target, wiring.gap_source]),
        **delays,
        **used,
        **{name: raw[name] for name in plain},
        **maps,
    )


# --- float steps, in NumPy over a batch ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Gates:
    """Synapses arranged for summing per target: sorted by target, with the first synapse of every target that has any.

    order: where the sorted synapses stood in the lists they came from.
    """

    units: int
    order: npt.NDArray[np.int64]
    source: IndexArray
    w: FloatArray
    sigma: FloatArray
    mu: FloatArray
    erev: FloatArray
    targets: IndexArray
    starts: npt.NDArray[np.int64]
    target: IndexArray

    @classmethod
    def of(
        cls, units: int, source: IndexArray, target: IndexArray, w: FloatArray, sigma: FloatArray, mu: FloatArray, erev: FloatArray
    ) -> Gates:
        """Synapses from lists in any order."""
        order = np.argsort(target, kind="stable")
        targets, starts = np.unique(target[order], return_index=True)
        return cls(units, order, source[order], w[order], sigma[order], mu[order], erev[order], targets, starts, target[order])

    def sums(self, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Per target: sum of conductances and sum of conductance times reversal potential, (batch, units), for v (batch, sources)."""
        return self.heard(v[:, self.source])

    def heard(self, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        """`sums` where each synapse hears a value of its own: v (batch, synapses), in the sorted order."""
        conductance = self.w * sigmoid(self.sigma * (v - self.mu))
        return self.per_target(conductance), self.per_target(conductance * self.erev)

    def slopes(self, v: FloatArray) -> FloatArray:
        """(batch, synapses): the derivative of w sigmoid(…) (erev - v_target) by the presynaptic value, in the sorted order."""
        opening = sigmoid(self.sigma * (v[:, self.source] - self.mu))
        result: FloatArray = self.w * self.sigma * opening * (1.0 - opening) * (self.erev - v[:, self.target])
        return result

    def per_target(self, values: FloatArray) -> FloatArray:
        """(batch, units): sums over the synapses of each target."""
        return _per_target(values, self.units, self.targets, self.starts)


def _per_target(values: FloatArray, units: int, targets: IndexArray, starts: npt.NDArray[np.int64]) -> FloatArray:
    result = np.zeros((len(values), units))
    if len(starts):
        result[:, targets] = np.add.reduceat(values, starts, axis=1)
    return result


@dataclass(frozen=True, eq=False)
class Gaps:
    """Gap junctions arranged for summing per target. conductance (units,): of all gap junctions of a neuron, which never changes."""

    units: int
    source: IndexArray
    target: IndexArray
    w: FloatArray
    targets: IndexArray
    starts: npt.NDArray[np.int64]
    conductance: FloatArray

    @classmethod
    def of(cls, units: int, source: IndexArray, target: IndexArray, w: FloatArray) -> Gaps:
        """Directed gap junctions from lists in any order."""
        order = np.argsort(target, kind="stable")
        targets, starts = np.unique(target[order], return_index=True)
        total = _per_target(w[order][None], units, targets, starts)[0]
        return cls(units, source[order], target[order], w[order], targets, starts, total)

    def driven(self, v: FloatArray) -> FloatArray:
        """(batch, units): sum of conductance times the neighbour's value, for v (batch, units)."""
        return _per_target(self.w * v[:, self.source], self.units, self.targets, self.starts)


@dataclass(frozen=True, eq=False)
class Prepared:
    """Values with their synapses arranged for NumPy."""

    values: LTCValues
    recurrent: Gates = field(init=False)
    sensory: Gates = field(init=False)
    gaps: Gaps = field(init=False)

    def __post_init__(self) -> None:
        v = self.values
        recurrent = Gates.of(v.units, v.source, v.target, v.w, v.sigma, v.mu, v.erev)
        object.__setattr__(self, "recurrent", recurrent)
        sensory = Gates.of(v.units, v.sensory_source, v.sensory_target, v.sensory_w, v.sensory_sigma, v.sensory_mu, v.sensory_erev)
        object.__setattr__(self, "sensory", sensory)
        object.__setattr__(self, "gaps", Gaps.of(v.units, v.gap_source, v.gap_target, v.gap_w))

    def sums(self, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        """What neurons at v (batch, units) cause without delays: (conductance, driven conductance), gap junctions included."""
        return self.with_gaps(*self.recurrent.sums(v), v)

    def with_gaps(self, conductance: FloatArray, driven: FloatArray, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The sums of the synapses with those of the gap junctions added, for neurons at v."""
        if not self.values.has_gaps:
            return conductance, driven
        return conductance + self.gaps.conductance, driven + self.gaps.driven(v)

    def held(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """What does not change while the inputs x (batch, inputs) are held: (conductance, driven conductance), leak included."""
        conductance, driven = self.sensory.sums(x * self.values.input_w + self.values.input_b)
        return conductance + self.values.gleak, driven + self.values.gleak * self.values.vleak


def fused_step(prepared: Prepared, v: FloatArray, x: FloatArray, timespan: FloatArray, unfolds: int) -> FloatArray:
    """The state (batch, units) after one sample: `unfolds` semi-implicit sub-steps of h = timespan / unfolds (batch,), as ncps takes them.

    v' = (cm v + h c) / (cm + h (g + epsilon)) with conductance g and driven conductance c of the old states (ncps divides all by h, which
    is the same but fails at h = 0). A neuron with neither inertia nor conductance keeps its state.
    """
    held_conductance, held_driven = prepared.held(x)
    cm, epsilon = prepared.values.cm, prepared.values.epsilon
    h = (timespan / unfolds)[:, None]
    for _ in range(unfolds):
        conductance, driven = prepared.sums(v)
        v = sub_step(cm, epsilon, v, h, conductance + held_conductance, driven + held_driven)
    return v


def sub_step(cm: FloatArray, epsilon: float, v: FloatArray, h: FloatArray, conductance: FloatArray, driven: FloatArray) -> FloatArray:
    """One semi-implicit sub-step of h (batch, 1) with the sums of the old states, leak included."""
    numerator, denominator = cm * v + h * driven, cm + h * (conductance + epsilon)
    return np.divide(numerator, denominator, out=v.copy(), where=denominator > 0)


def output(values: LTCValues, v: FloatArray) -> FloatArray:
    """y (…, outputs) of states (…, units)."""
    return values.output_w * v[..., : values.outputs] + values.output_b
