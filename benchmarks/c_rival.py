"""Plain C for the same network, compiled on the spot: what the clock-driven kernel is measured against.

Two forms, both float32 and without any library: `scatter` runs over the synapse list, as one would write it first; `by_target` sums per
target in local variables. gcc -O3 -march=native -ffast-math may make SIMD code of them. One call runs a whole stream.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from liquid_neuro import Fused, LiquidNetwork
from liquid_neuro.cells import ltc

FLAGS = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]
HEAD = """
#include <math.h>
#include <string.h>
typedef struct { int n; const int *first, *source, *target; const float *w, *sigma, *mu, *erev; } list;
"""
SCATTER = """
static inline void sums(const list *s, int units, const float *x, float *g, float *d) {
  for (int i = 0; i < s->n; i++) {
    float gate = s->w[i] / (1.0f + expf(s->sigma[i] * (s->mu[i] - x[s->source[i]])));
    g[s->target[i]] += gate; d[s->target[i]] += gate * s->erev[i];
  }
}
"""
BY_TARGET = """
static inline void sums(const list *s, int units, const float *x, float *g, float *d) {
  for (int j = 0; j < units; j++) {
    float a = 0.0f, b = 0.0f;
    for (int i = s->first[j]; i < s->first[j + 1]; i++) {
      float gate = s->w[i] / (1.0f + expf(s->sigma[i] * (s->mu[i] - x[s->source[i]])));
      a += gate; b += gate * s->erev[i];
    }
    g[j] += a; d[j] += b;
  }
}
"""
RUN = """
void run(int samples, int inputs, int units, int unfolds, float h, const list *own, const list *sensory, const float *leak,
         const float *leak_driven, const float *cm, const float *x, float *v, float *states) {
  float held[units], held_driven[units], g[units], d[units];
  for (int k = 0; k < samples; k++) {
    memcpy(held, leak, sizeof held); memcpy(held_driven, leak_driven, sizeof held);
    sums(sensory, units, x + (long)k * inputs, held, held_driven);
    for (int u = 0; u < unfolds; u++) {
      memcpy(g, held, sizeof g); memcpy(d, held_driven, sizeof d);
      sums(own, units, v, g, d);
      for (int j = 0; j < units; j++) v[j] = (cm[j] * v[j] + h * d[j]) / (cm[j] + h * g[j]);
    }
    memcpy(states + (long)k * units, v, sizeof g);
  }
}
"""


class _List(ctypes.Structure):
    _fields_ = [("n", ctypes.c_int)] + [(name, ctypes.c_void_p) for name in ("first", "source", "target", "w", "sigma", "mu", "erev")]


def rivals(network: LiquidNetwork, x: np.ndarray, timespan: float) -> dict[str, Callable[[], np.ndarray]]:
    """The forms by name; each call runs the stream x (K, inputs) from state 0 and returns the states (K, units). Empty without gcc."""
    if shutil.which("gcc") is None:
        return {}
    return {name: _rival(network, x, timespan, source) for name, source in (("scatter", SCATTER), ("by_target", BY_TARGET))}


def _rival(network: LiquidNetwork, x: np.ndarray, timespan: float, source: str) -> Callable[[], np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        file, library = Path(folder) / "rival.c", Path(folder) / "rival.so"
        file.write_text(HEAD + source + RUN)
        subprocess.run(["gcc", *FLAGS, "-o", str(library), str(file), "-lm"], check=True)
        run = ctypes.CDLL(str(library)).run
    values = ltc.effective(network)
    assert isinstance(network.solver, Fused)
    units, keep = network.units, []

    def pointer(array: np.ndarray, kind: type = np.float32) -> ctypes.c_void_p:
        keep.append(np.ascontiguousarray(array, dtype=kind))
        return ctypes.c_void_p(keep[-1].ctypes.data)

    def synapses(prefix: str) -> _List:
        target = getattr(values, f"{prefix}target")
        order = np.argsort(target, kind="stable")
        first = np.searchsorted(target[order], np.arange(units + 1))
        integers = [pointer(first, np.int32)] + [pointer(getattr(values, prefix + name)[order], np.int32) for name in ("source", "target")]
        return _List(len(order), *integers, *(pointer(getattr(values, prefix + name)[order]) for name in ("w", "sigma", "mu", "erev")))

    lists = synapses(""), synapses("sensory_")
    state, states = np.zeros(units, dtype=np.float32), np.empty((len(x), units), dtype=np.float32)
    heard = pointer(x * values.input_w + values.input_b)
    leak = pointer(values.gleak + values.epsilon), pointer(values.gleak * values.vleak), pointer(values.cm)
    unfolds = network.solver.unfolds

    def call() -> np.ndarray:
        state[:] = 0.0
        run(
            len(x), network.inputs, units, unfolds, ctypes.c_float(timespan / unfolds), ctypes.byref(lists[0]), ctypes.byref(lists[1]),
            *leak, heard, ctypes.c_void_p(state.ctypes.data), ctypes.c_void_p(states.ctypes.data),
        )  # fmt: skip
        assert keep
        return states

    return call
