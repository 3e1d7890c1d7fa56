"""The files of a C99 export: templates filled with what was printed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from liquid_neuro.quantized_network import IntArray, QuantizedNetwork
from mappers.exporters.c99_sample import host_range, input_range, step_lines
from mappers.exporters.c99_source import Code, identifier
from mappers.exporters.c99_step import Array, is_unit, kept_arrays, local_arrays, state_type
from mappers.exporters.c99_values import bytes_of, storage

TEMPLATES = Path(__file__).parent / "c99_template"
MOST_LABELS = 6


def write_files(folder: Path, code: Code, name: str, inputs: IntArray, states: IntArray, content: str, proof: str) -> None:
    """Write all files. inputs (samples, inputs, and the timespan where samples last differently long), states (samples, units): the
    self-test's words."""
    quantized = code.quantized
    step = step_lines(code)
    kept = kept_arrays(code)
    common = {
        "NAME": name,
        "HEADER": f"{name}.h",
        "TITLE": name,
        "SUMMARY": _summary(quantized),
        "RAM": str(_struct_bytes(kept)),
        "STACK": str(sum(array.bytes for array in local_arrays(code))),
        "FLASH": str(code.tables.flash),
        "PROOF": proof,
        "CONTENT": content,
        "OUTPUT_MAP": "\n".join(_output_map(quantized)),
        "OUTPUT_TYPE": state_type(quantized.population(quantized.output_population)),
        "SAMPLES": str(len(inputs)),
        "SCHEDULE": _schedule(code),
        **_elapsed(code, inputs[:, quantized.network.inputs :]),
    }
    low, high = input_range(code)
    header = _filled(
        "network.h",
        **{**common, "OUTPUT_MAP": "\n".join(f" *   {line}" for line in _output_map(quantized))},
        INPUTS=str(quantized.network.inputs),
        UNITS=str(quantized.network.units),
        OUTPUTS=str(len(quantized.output_compartments)),
        INPUT_FRACTION=str(quantized.input_format.fraction_bits),
        INPUT_LOWEST=f"({low})",
        INPUT_HIGHEST=str(high),
        INPUT_TYPE=storage(quantized.input_format.lowest, quantized.input_format.highest),
        OUTPUT_FRACTION=str(quantized.population(quantized.output_population).state.fraction_bits),
        MEMBERS="\n".join(f"    {array.declared}" for array in kept),
        TIMESPAN="" if quantized.elapsed else f", {getattr(quantized.formats, 'timespan', 1.0):g} model units of time",
        LABELS=_labels(quantized),
    )
    source = _filled(
        "network.c",
        **common,
        PRIMITIVES="\n\n".join(_primitives(code)),
        TABLES="\n\n".join(code.tables.texts.values()),
        FUNCTIONS="\n\n".join(code.functions),
        RESET="\n".join(f"    for (i = 0; i < {array.size}; i++) {{ self->{array.name}[i] = 0; }}" for array in kept),
        STEP="\n".join(f"    {line}" if line else "" for line in step),
        WORDS="\n".join(_words(quantized)),
    )
    word_type = storage(int(states.min(initial=0)), int(states.max(initial=0)))
    rows = {"INPUT_ROWS": _rows(inputs[:, : quantized.network.inputs]), "WORD_ROWS": _rows(states), "WORD_TYPE": word_type}
    test = _filled("network_test.c", **common, **rows)
    for file, text in (
        (f"{name}.h", header),
        (f"{name}.c", source),
        (f"{name}_test.c", test),
        ("Makefile", _filled("Makefile", **common)),
        ("README.md", _filled("README.md", **common)),
    ):
        (folder / file).write_text(_prefixed(text, name), encoding="utf-8")


def _elapsed(code: Code, words: IntArray) -> dict[str, str]:
    """What templates say of the timespan of a sample, where it is an input. words: those of the self-test (samples, 1), or (samples, 0)."""
    population = code.quantized.elapsed
    before, after = "liquid_state *self, ", "const liquid_input input[LIQUID_INPUTS], liquid_output output[LIQUID_OUTPUTS]"
    if population is None:
        names = ("ELAPSED_DEFINES", "ELAPSED_ROWS", "ELAPSED_SAMPLE", "ELAPSED_DECLARED", "AND_ELAPSED", "ELAPSED_GIVEN")
        return {**dict.fromkeys(names, ""), "STEP_ARGUMENTS": before + after}
    fraction, highest = population.state.fraction_bits, host_range(code, population)[1]
    return {
        "ELAPSED_DEFINES": "/* The time that a sample lasts: its model units * 2**LIQUID_ELAPSED_FRACTION, rounded half up. */\n"
        f"#define LIQUID_ELAPSED_FRACTION {fraction}\n#define LIQUID_ELAPSED_HIGHEST {highest}\n\n",
        "ELAPSED_ROWS": f"static const int32_t elapsed[SAMPLES] = {{{', '.join(map(str, words[:, 0].tolist()))}}};\n\n",
        "ELAPSED_SAMPLE": "elapsed[sample], ",
        "ELAPSED_DECLARED": "int32_t elapsed;                         /* model units of time * 2**LIQUID_ELAPSED_FRACTION */\n",
        "AND_ELAPSED": ", and the time that they stand for into elapsed",
        "ELAPSED_GIVEN": "elapsed, ",
        "STEP_ARGUMENTS": f"{before}int32_t elapsed, {after}",
    }


def _prefixed(text: str, name: str) -> str:
    return text.replace("liquid_", f"{name}_").replace("LIQUID_", f"{name.upper()}_")


def _filled(template: str, **values: str) -> str:
    text = (TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"@@{name}@@", value)
    return text


def _summary(quantized: QuantizedNetwork) -> str:
    network = quantized.network
    kind = {"ltc": "LTC", "cfc": "CfC"}.get(network.cell, network.cell)
    return (
        f"{kind} network of {network.units} neurons, {network.inputs} inputs and {network.outputs} outputs in integers; it stands for "
        f"{quantized.target}."
    )


def _schedule(code: Code) -> str:
    plan = code.plan
    parts = [f"{', '.join(plan.before)} once"] if plan.before else []
    parts += [f"{', '.join(plan.loop)} {plan.repeats} times"] if plan.loop else []
    return ", then ".join(parts)


def _struct_bytes(arrays: list[Array]) -> int:
    """The size of a record of these arrays with natural alignment."""
    total, widest = 0, 1
    for array in arrays:
        width = bytes_of(array.kind)
        total, widest = -(-total // width) * width + array.bytes, max(widest, width)
    return -(-total // widest) * widest


def _primitives(code: Code) -> list[str]:
    """The C functions that are used, in the order of the template."""
    parts = (TEMPLATES / "primitives.c.txt").read_text(encoding="utf-8").strip().split("\n\n\n/* liquid_")
    by_name = {part.removeprefix("/* liquid_").split(" */\n", 1)[0]: part.split(" */\n", 1)[1] for part in parts}
    return [text for name, text in by_name.items() if name in code.used]


def _output_map(quantized: QuantizedNetwork) -> list[str]:
    gain, offset = np.asarray(quantized.output_gain), np.asarray(quantized.output_offset)
    lines = []
    for k in range(len(offset)):
        if gain.ndim == 1:
            lines.append(f"y[{k}] = {gain[k]:.9g} * output[{k}] / 2**LIQUID_OUTPUT_FRACTION + {offset[k]:.9g}")
        else:
            row = ", ".join(f"{value:.9g}" for value in gain[k])
            lines.append(f"y[{k}] = sum over j of {{{row}}}[j] * output[j] / 2**LIQUID_OUTPUT_FRACTION + {offset[k]:.9g}")
    return lines


def _labels(quantized: QuantizedNetwork) -> str:
    labels = quantized.network.labels
    return ", ".join(labels[:MOST_LABELS]) + (", ..." if len(labels) > MOST_LABELS else "")


def _words(quantized: QuantizedNetwork) -> list[str]:
    lines, start = [], 0
    for p in quantized.populations:
        if is_unit(p):
            at = f"i + {start}" if start else "i"
            lines.append(f"    for (i = 0; i < {p.size}; i++) {{ words[{at}] = self->{identifier(p.name)}[i]; }}")
            start += p.size
    return lines


def _rows(values: IntArray) -> str:
    return ",\n".join("    {" + ", ".join(map(str, row)) + "}" for row in values.tolist())
