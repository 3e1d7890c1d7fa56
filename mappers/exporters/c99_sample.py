"""liquid_step: all populations of a network for one sample."""

from __future__ import annotations

import numpy as np

from liquid_neuro.quantized_network import Population
from mappers.exporters.c99_source import Code, identifier
from mappers.exporters.c99_step import keeps_message, keeps_state, lasting, local_arrays, passed


def step_lines(code: Code) -> list[str]:
    """The statements of liquid_step."""
    quantized, plan = code.quantized, code.plan
    lines = [array.declared for array in local_arrays(code)]
    start: list[str] = []
    for p in quantized.populations:
        declared, begun = _message_buffers(code, p)
        lines += declared
        start += begun
    used = {"turn"} if plan.repeats > 1 else set()
    lines += ["int32_t i;", *(["int32_t turn;"] if used else []), "", *start]
    summed: set[str] = set()  # populations of the loop that have summed what their sources outside of it have sent
    for name in plan.before:
        if name in plan.loop:
            lines += _hold_call(code, quantized.population(name), summed)
        lines += _run_call(code, quantized.population(name))
        summed -= {other for other in plan.loop if any(stream.source == name for stream in plan.streams[other])}
    for name in plan.loop:
        lines += _hold_call(code, quantized.population(name), summed)
    if plan.repeats > 1:
        lines.append(f"for (turn = 0; turn < {plan.repeats}; turn++) {{")
        for name in plan.loop:
            lines += [f"    {line}" for line in _run_call(code, quantized.population(name))]
        lines.append("}")
    for p in quantized.populations:
        if p.name in plan.streams and keeps_message(code, p) and plan.hears_itself(p.name):
            name = identifier(p.name)
            if _runs(code, p.name) % 2:  # the last messages stand in the local array
                lines.append(f"for (i = 0; i < {p.size}; i++) {{ self->{name}_sent[i] = {name}_a[i]; }}")
    return lines + _output(code)


def _runs(code: Code, name: str) -> int:
    return code.plan.before.count(name) + code.plan.loop.count(name) * code.plan.repeats


def _message_buffers(code: Code, population: Population) -> tuple[list[str], list[str]]:
    """(declarations, statements at the beginning of a sample) that give a population its <population>_sent and _next."""
    name, kind = identifier(population.name), code.message_type(population.name)
    if not population.program:
        return _host(code, population)
    if population.name not in code.plan.streams:  # computed on the way
        return [], []
    itself, kept = code.plan.hears_itself(population.name), keeps_message(code, population)
    declared = [f"{kind} *{name}_sent = {f'self->{name}_sent' if kept else f'{name}_a'};"]
    if itself:
        declared += [f"{kind} *{name}_next = {name}_{'a' if kept else 'b'};"]
    if itself and _runs(code, population.name) > 1:
        declared.append(f"{kind} *{name}_swap;")
    begun = []
    if not kept and code.plan.heard_first(population.name):
        begun = [f"for (i = 0; i < {population.size}; i++) {{ {name}_sent[i] = ({kind})liquid_{name}_message(self->{name}[i]); }}"]
    return declared, begun


def _host(code: Code, population: Population) -> tuple[list[str], list[str]]:
    """The samples' words and the timespan, clipped to the range for which everything is proved."""
    low, high = host_range(code, population)
    kind, name = code.message_type(population.name), identifier(population.name)
    word = f"liquid_clip({'elapsed' if population is code.quantized.elapsed else 'input[i]'}, {low}, {high})"
    code.used.add("clip")
    if population.threshold > 1:
        word = f"liquid_{name}_sent({word}, {name}_sent[i])"
    declared = [f"{kind} *{name}_sent = {f'self->{name}_sent' if population.threshold > 1 else f'{name}_words'};"]
    return declared, [f"for (i = 0; i < {population.size}; i++) {{ {name}_sent[i] = ({kind}){word}; }}"]


def host_range(code: Code, population: Population) -> tuple[int, int]:
    """The words of the host for which no sum leaves its word."""
    low, high = code.ranges[population.name]
    return int(low.min(initial=0)), int(high.max(initial=0))


def input_range(code: Code) -> tuple[int, int]:
    """Those of the inputs."""
    return host_range(code, next(p for p in code.quantized.populations if not p.program))


def _hold_call(code: Code, population: Population, summed: set[str]) -> list[str]:
    """The call that sums what lasts while the loop runs, where there is such and it is not in `summed`, which it joins."""
    if not lasting(code, population) or population.name in summed:
        return []
    summed.add(population.name)
    name = identifier(population.name)
    plain = code.plan.plain(population.name) if code.plan.still(population.name) else ()
    given = passed(code, code.plan.held(population.name) + plain) + lasting(code, population)
    return [f"liquid_{name}_hold({', '.join(given)});"]


def _run_call(code: Code, population: Population) -> list[str]:
    name, plan = identifier(population.name), code.plan
    held = plan.held(population.name)
    streams = tuple(stream for stream in plan.streams[population.name] if stream not in held)
    given = ([f"self->{name}"] if keeps_state(population) else []) + passed(code, streams)
    given += lasting(code, population)
    given += [f"{name}_sent"] if population.threshold > 1 else []
    itself = plan.hears_itself(population.name)
    given.append(f"{name}_next" if itself else f"{name}_sent")
    lines = [f"liquid_{name}_run({', '.join(given)});"]
    if itself and _runs(code, population.name) > 1:
        lines += [f"{name}_swap = {name}_sent;", f"{name}_sent = {name}_next;", f"{name}_next = {name}_swap;"]
    elif itself:
        lines += [f"{name}_sent = {name}_next;"]
    return lines


def _output(code: Code) -> list[str]:
    quantized = code.quantized
    name, chosen = identifier(quantized.output_population), np.asarray(quantized.output_compartments)
    at = "i"
    if not np.array_equal(chosen, np.arange(len(chosen))):
        table = code.tables.look_up("liquid_output_compartments", chosen).text
        code.tables.write(table)
        at = f"{table}[i]"
    return [f"for (i = 0; i < {len(chosen)}; i++) {{ output[i] = self->{name}[{at}]; }}"]
