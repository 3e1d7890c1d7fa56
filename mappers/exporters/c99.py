"""Export to C99: one .c/.h pair that computes, sample by sample, exactly what the chip simulator has at the end of every sample.

The neurons' functions are printed from the Python functions of the cells (c99_print), specialised to this network by the ranges of all
their intermediates; what is not proved to fit 32-bit words is refused.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from liquid_neuro.quantized_network import IntArray, QuantizedNetwork
from mappers.exporters import ExportError
from mappers.exporters.c99_files import write_files
from mappers.exporters.c99_plan import make_plan
from mappers.exporters.c99_sample import input_range
from mappers.exporters.c99_source import Code, new_code, print_sent
from mappers.exporters.c99_step import print_population
from mappers.exporters.proof_notes import failed_obligations, told
from mappers.proofs.intervals import sum_range

if TYPE_CHECKING:
    from mappers.mapping import Mapping

__all__ = ["write"]

KINDS = ("loihi", "microcontroller")
TABLES = ("fast", "small")


def write(
    mapping: Mapping,
    folder: Path,
    *,
    name: str = "liquid",
    inputs: npt.ArrayLike | None = None,
    timespans: npt.ArrayLike | None = None,
    samples: int = 50,
    tables: str = "fast",
    unproved: bool = False,
) -> None:
    """Fill an empty folder with <name>.h, <name>.c, <name>_test.c, a Makefile and a README.

    name: of the files, and the beginning of every public C name. inputs: real network inputs (samples, channels) for the self-test; a
    seeded random walk of `samples` rows if not given. timespans: (samples,) model units, for networks that take irregular time; random
    ones if not given. tables: "fast", or "small": the tables of the network as they are, which take less
    flash and a few instructions more.
    unproved: export although something is not proved to fit its word, with a warning; the files say what. Sums then saturate as a whole
    where the chip's saturate message by message, so that words may differ from the simulator's once a sum has left its accumulator.

    Raises ExportError: an akida network, a sum or product that is not proved to fit its word, or a name that C does not allow.
    """
    quantized = mapping.quantized
    _check(quantized, name)
    if tables not in TABLES:
        raise ExportError(f'tables must be one of {", ".join(TABLES)}, but is "{tables}"')
    failures = failed_obligations(quantized, unproved)
    code = new_code(quantized, make_plan(quantized), tables == "fast", failures if unproved else None)
    proof = _proved_sums(code)
    for population in quantized.populations:
        if population.name in code.plan.streams:
            print_population(code, population)
        elif not population.program and population.threshold > 1:
            print_sent(code, population)
    words = _test_inputs(quantized, code, inputs, samples)
    spans = _test_timespans(quantized, timespans, len(words))
    states = _states(quantized, words, spans)
    if code.unproved:
        listed = told(code.unproved).replace("*/", "* /").replace("/*", "/ *")  # it stands in a comment of C
        proof = f"{listed} Compile with -fwrapv: beyond what is proved a sum or product may leave 32 bits."
    write_files(folder, code, name, np.concatenate([words, spans], axis=1), states, _content(quantized), proof)


def _check(quantized: QuantizedNetwork, name: str) -> None:
    if quantized.kind not in KINDS:
        raise ExportError(
            f'kind must be one of {", ".join(KINDS)} for C99, but is "{quantized.kind}" ({quantized.profile}); quantise for a chip of these'
        )
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ExportError(f'name must be lower-case letters, digits and _, beginning with a letter, but is "{name}"')
    hosts = [population.name for population in quantized.populations if not population.program]
    if hosts not in (["input"], ["input", "elapsed"]):
        raise ExportError(f"the host must set input, and elapsed where time is irregular, but sets {', '.join(hosts) or 'nothing'}")


def _proved_sums(code: Code) -> str:
    """What is proved about sums, in a sentence. The chip saturates a sum that leaves its accumulator; this code does not need to."""
    quantized = code.quantized
    limit = 1 << (quantized.accumulator_bits - 1)
    for target, port in dict.fromkeys((item.target_population, item.port) for item in quantized.projections):
        low, high = sum_range(quantized, dict(code.ranges), target, port)
        reach = np.maximum(-low - 1, high)
        worst = int(np.argmax(reach))
        if reach[worst] >= limit:
            place = f"{target}.{port} of {quantized.population(target).labels[worst]}"
            code.fails(
                f"{place} must fit {quantized.accumulator_bits} bits, but may reach {low[worst]} to {high[worst]}",
                "use fewer message bits or smaller weights, or say unproved=True",
            )
    low_word, high_word = input_range(code)
    return f"Proved for input words of {low_word} to {high_word}: no sum leaves its word, no product 32 bits, no index its table."


def _test_inputs(quantized: QuantizedNetwork, code: Code, inputs: npt.ArrayLike | None, samples: int) -> IntArray:
    low, high = input_range(code)
    if inputs is None:
        steps = np.random.default_rng(0).normal(0.0, 0.1, (samples, quantized.network.inputs))
        real = np.clip(np.cumsum(steps, axis=0), low * quantized.input_format.lsb, high * quantized.input_format.lsb)
    else:
        real = np.asarray(inputs, dtype=np.float64)
    if real.ndim != 2 or real.shape[1] != quantized.network.inputs or not len(real):
        raise ExportError(f"inputs must have the shape (samples, {quantized.network.inputs}), but have {real.shape}")
    words: IntArray = np.clip(quantized.input_format.quantize(real), low, high)
    return words


def _test_timespans(quantized: QuantizedNetwork, timespans: npt.ArrayLike | None, samples: int) -> IntArray:
    """Words (samples, 1) of the self-test's timespans, 0 and the longest among them; (samples, 0) where all samples last as long."""
    population = quantized.elapsed
    if population is None:
        if timespans is not None:
            raise ExportError(
                f"timespans must be left out where all samples last {quantized.formats.timespan:g} model units, but are given"
            )
        return np.zeros((samples, 0), dtype=np.int64)
    if timespans is None:
        spans = np.random.default_rng(1).uniform(0.0, 1.0, samples) ** 3 * quantized.formats.timespan
        spans[1:3] = (0.0, quantized.formats.timespan)[: len(spans[1:3])]
    else:
        spans = np.asarray(timespans, dtype=np.float64)
    if spans.shape != (samples,) or not ((spans >= 0.0) & (spans < (population.state.highest + 0.5) * population.state.lsb)).all():
        longest = population.state.highest * population.state.lsb
        raise ExportError(f"timespans must be {samples} numbers of 0 to {longest:.6g} model units, but are not; check their shape and unit")
    words: IntArray = population.state.quantize(spans)[:, None]
    return words


def _states(quantized: QuantizedNetwork, words: IntArray, spans: IntArray) -> IntArray:
    """The simulator's state words (samples, units)."""
    from event_sim.fixed import state_words

    timespans = quantized.elapsed.state.to_real(spans[:, 0]) if quantized.elapsed else None
    states: IntArray = state_words(quantized, quantized.input_format.to_real(words), timespans)[0]
    return states


def _content(quantized: QuantizedNetwork) -> str:
    """SHA-256 of everything that decides what the network computes."""
    digest = hashlib.sha256()
    for p in quantized.populations:
        head: tuple[Any, ...] = (p.name, p.program, p.size, str(p.state), p.message_shift, p.threshold, p.first_tick, p.period)
        head += (p.prediction,) if p.prediction else ()
        digest.update(repr(head).encode())
        for name, values in (*p.parameters.items(), *p.tables.items()):
            digest.update(name.encode() + np.asarray(values, dtype="<i8").tobytes())
    for item in quantized.projections:
        digest.update(repr((item.source_population, item.target_population, item.port)).encode())
        for values in (item.source, item.target, item.weight):
            digest.update(np.asarray(values, dtype="<i8").tobytes())
    digest.update(np.asarray(quantized.output_compartments, dtype="<i8").tobytes())
    return digest.hexdigest()
