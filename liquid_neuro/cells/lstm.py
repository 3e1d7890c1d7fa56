"""Mixed memory: an LSTM cell that carries memory beside the liquid state (Lechner & Hasani, arXiv 2006.04418), as in ncps.

| parameter | shape | meaning |
|---|---|---|
| lstm.input_map.weight, .bias | (4 units, inputs), (4 units,) | input, input gate, forget gate, output gate |
| lstm.recurrent_map.weight | (4 units, units) | the same from the liquid state; no bias |

With z = W_i x + b_i + W_r h, split into i, ig, fg, og:  c' = c sigmoid(fg + 1) + tanh(i) sigmoid(ig);  h~ = tanh(c') sigmoid(og).
The liquid cell then advances from h~ instead of h. The LSTM itself does not know the elapsed time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_neuro.cells.functions import FloatArray, sigmoid
from liquid_neuro.network import LiquidNetwork


@dataclass(frozen=True, eq=False)
class LSTMValues:
    """The memory cell's weights: input_weight (4 units, inputs), input_bias (4 units,), recurrent_weight (4 units, units)."""

    input_weight: FloatArray
    input_bias: FloatArray
    recurrent_weight: FloatArray


def parameter_shapes(inputs: int, units: int) -> dict[str, tuple[int, ...]]:
    """The shape of each parameter."""
    return {
        "lstm.input_map.weight": (4 * units, inputs),
        "lstm.input_map.bias": (4 * units,),
        "lstm.recurrent_map.weight": (4 * units, units),
    }


def effective(network: LiquidNetwork) -> LSTMValues | None:
    """The memory cell of a network; None without mixed memory."""
    if not network.mixed_memory:
        return None
    return LSTMValues(*(network.parameters[name] for name in parameter_shapes(network.inputs, network.units)))


def step(values: LSTMValues, x: FloatArray, h: FloatArray, c: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(h~, c') for raw inputs x (batch, inputs), liquid state h and memory c (batch, units)."""
    z = x @ values.input_weight.T + values.input_bias + h @ values.recurrent_weight.T
    value, input_gate, forget_gate, output_gate = np.split(z, 4, axis=-1)
    memory = c * sigmoid(forget_gate + 1.0) + np.tanh(value) * sigmoid(input_gate)
    return np.tanh(memory) * sigmoid(output_gate), memory
