"""The closed-form continuous-time neuron (Hasani et al., arXiv 2106.13898), as in ncps.

With z = [x, h], sent through the backbone layers z <- activation(B z + b) where there are any, and elapsed time dt:

    f1 = W1 z + b1,  f2 = W2 z + b2,  s = sigmoid((Wa z + ba) dt + (Wb z + bb))          (ff1, ff2, time_a, time_b)
    default : h' = tanh(f1) (1 - s) + s tanh(f2)
    no_gate : h' = tanh(f1) + s tanh(f2)
    pure    : h' = A - A exp(-dt (|w_tau| + |f1|)) f1

The Keras dialect of the same layer has no tanh around f1 and f2, and s = sigmoid(-(Wa z + ba) dt + (Wb z + bb)).

| parameter | shape | meaning |
|---|---|---|
| backbone.0.weight, .bias; backbone.1 … | (width, inputs + units or width), (width,) | backbone layers without gaps; none in a wired CfC |
| ff1, ff2, time_a, time_b .weight, .bias | (units, columns), (units,) | heads; columns: inputs then state, or the last backbone width |
| w_tau, A | (units,) | pure mode only, which has ff1 as its single head |
| fc.weight, fc.bias | (outputs, size of the last layer), (outputs,) | optional projection |

A wired CfC is one such cell per layer of the wiring, named layer_0.ff1.weight and so on; layer l hears the new state of layer l - 1 in the
same step. The wiring masks what ff1 and ff2 hear from the layer before; within a layer, and in time_a and time_b, everything is connected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from liquid_neuro.cells import lstm
from liquid_neuro.cells.functions import ACTIVATIONS, FloatArray, sigmoid
from liquid_neuro.network import CfCSettings, LiquidNetwork
from liquid_neuro.wiring import Wiring

MODES = ("default", "pure", "no_gate")
DIALECTS = ("torch", "keras")
HEADS = ("ff1", "ff2", "time_a", "time_b")
MASKED_HEADS = ("ff1", "ff2")
Affine = tuple[FloatArray, FloatArray]


@dataclass(frozen=True, eq=False)
class CfCLayer:
    """One CfC cell as its equations use it.

    inputs_from: -1 for the network's inputs, else the number of the layer whose new state it hears. inputs, units: its sizes.
    start: where its units begin in the state. backbone: (weight, bias) per layer. heads: (weight, bias) by name, ff1 and ff2 masked.
    mask: what ff1 and ff2 may hear, (units, inputs + units) of 0 and 1; None where all. w_tau, A: (units,) in pure mode, else None.
    """

    inputs_from: int
    inputs: int
    units: int
    start: int
    backbone: tuple[Affine, ...]
    heads: Mapping[str, Affine]
    mask: FloatArray | None
    w_tau: FloatArray | None
    A: FloatArray | None


@dataclass(frozen=True, eq=False)
class CfCValues:
    """A CfC's numbers as its equations use them. One layer without a wiring; projection: (weight, bias) or None."""

    inputs: int
    units: int
    outputs: int
    mode: str
    activation: str
    dialect: str
    layers: tuple[CfCLayer, ...]
    projection: Affine | None
    lstm: lstm.LSTMValues | None


def layer_sizes(network: LiquidNetwork) -> tuple[tuple[int, int], ...]:
    """(inputs, units) of every layer."""
    if network.wiring is None:
        return ((network.inputs, network.units),)
    units = [len(layer) for layer in network.wiring.layers]
    return tuple(zip([network.inputs, *units], units))


def layer_mask(wiring: Wiring, layer: int) -> FloatArray:
    """(units, inputs + units) of 0 and 1: the wiring from the layer before (or the inputs), and everything within the layer."""
    here = list(wiring.layers[layer])
    before = wiring.sensory_adjacency() if layer == 0 else wiring.adjacency()[list(wiring.layers[layer - 1])]
    mask: FloatArray = np.hstack([np.abs(before[:, here].T), np.ones((len(here), len(here)))]).astype(np.float64)
    return mask


def backbone_depth(network: LiquidNetwork) -> int:
    """Number of backbone layers."""
    return sum(name.startswith("backbone.") and name.endswith(".weight") for name in network.parameters)


def parameter_shapes(network: LiquidNetwork) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Shapes of the parameters that must be there, and of those that may be."""
    settings = settings_of(network)
    required: dict[str, tuple[int, ...]] = {}
    for layer, (inputs, units) in enumerate(layer_sizes(network)):
        prefix = "" if network.wiring is None else f"layer_{layer}."
        columns = inputs + units
        for depth in range(backbone_depth(network) if network.wiring is None else 0):
            bias = network.parameters.get(f"backbone.{depth}.bias")
            width = len(bias) if bias is not None and bias.ndim == 1 else 1
            required |= {f"backbone.{depth}.weight": (width, columns), f"backbone.{depth}.bias": (width,)}
            columns = width
        for head in HEADS[:1] if settings.mode == "pure" else HEADS:
            required |= {f"{prefix}{head}.weight": (units, columns), f"{prefix}{head}.bias": (units,)}
        if settings.mode == "pure":
            required |= {f"{prefix}w_tau": (units,), f"{prefix}A": (units,)}
    if "fc.weight" in network.parameters or "fc.bias" in network.parameters:
        required |= {"fc.weight": (network.outputs, layer_sizes(network)[-1][1]), "fc.bias": (network.outputs,)}
    if network.mixed_memory:
        required |= lstm.parameter_shapes(network.inputs, network.units)
    return required, {}


def settings_of(network: LiquidNetwork) -> CfCSettings:
    """The network's settings. ValueError for another cell."""
    if network.cell != "cfc" or not isinstance(network.settings, CfCSettings):
        raise ValueError(f'cell must be "cfc", but is "{network.cell}"')
    return network.settings


def effective(network: LiquidNetwork) -> CfCValues:
    """The network's numbers as the equations use them."""
    settings, raw = settings_of(network), network.parameters
    layers, start = [], 0
    for number, (inputs, units) in enumerate(layer_sizes(network)):
        prefix = "" if network.wiring is None else f"layer_{number}."
        mask = None if network.wiring is None else layer_mask(network.wiring, number)
        depth = 0 if network.wiring is not None else backbone_depth(network)
        backbone = tuple((raw[f"backbone.{index}.weight"], raw[f"backbone.{index}.bias"]) for index in range(depth))
        heads = {}
        for head in HEADS[:1] if settings.mode == "pure" else HEADS:
            weight = raw[f"{prefix}{head}.weight"]
            masked = weight if mask is None or head not in MASKED_HEADS else weight * mask
            heads[head] = (masked, raw[f"{prefix}{head}.bias"])
        pure = [raw[f"{prefix}{name}"] if settings.mode == "pure" else None for name in ("w_tau", "A")]
        layers.append(CfCLayer(number - 1, inputs, units, start, backbone, heads, mask, *pure))
        start += units
    projection = (raw["fc.weight"], raw["fc.bias"]) if "fc.weight" in raw else None
    sizes = (network.inputs, network.units, network.outputs)
    return CfCValues(*sizes, settings.mode, settings.activation, settings.dialect, tuple(layers), projection, lstm.effective(network))


# --- float steps, in NumPy over a batch ------------------------------------------------------------------------------------------


def step(values: CfCValues, x: FloatArray, h: FloatArray, timespan: FloatArray) -> FloatArray:
    """The new state (batch, units) for inputs x (batch, inputs), state h and timespan (batch,)."""
    new_states: list[FloatArray] = []
    for layer in values.layers:
        heard = x if layer.inputs_from < 0 else new_states[layer.inputs_from]
        z = np.concatenate([heard, h[:, layer.start : layer.start + layer.units]], axis=1)
        for weight, bias in layer.backbone:
            z = ACTIVATIONS[values.activation](z @ weight.T + bias)
        heads = {name: z @ weight.T + bias for name, (weight, bias) in layer.heads.items()}
        new_states.append(_advance(values, layer, heads, timespan[:, None]))
    return np.concatenate(new_states, axis=1)


def _advance(values: CfCValues, layer: CfCLayer, heads: Mapping[str, FloatArray], timespan: FloatArray) -> FloatArray:
    if layer.w_tau is not None and layer.A is not None:
        decay = np.exp(-timespan * (np.abs(layer.w_tau) + np.abs(heads["ff1"])))
        pure: FloatArray = layer.A - layer.A * decay * heads["ff1"]
        return pure
    torch = values.dialect == "torch"
    first, second = (np.tanh(heads[name]) if torch else heads[name] for name in MASKED_HEADS)
    gate = sigmoid((heads["time_a"] if torch else -heads["time_a"]) * timespan + heads["time_b"])
    return first + gate * second if values.mode == "no_gate" else first * (1.0 - gate) + gate * second


def output(values: CfCValues, h: FloatArray) -> FloatArray:
    """y (…, outputs) of states (…, units): the last layer's state, projected where there is a projection."""
    last = h[..., values.layers[-1].start :]
    return last if values.projection is None else last @ values.projection[0].T + values.projection[1]
