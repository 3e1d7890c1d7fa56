"""Exported C99 on emulated Cortex-M and RV32 processors (unicorn): every word equals the simulator's; instructions of a step are counted.

Instructions are not cycles: no wait states, no pipeline. Needs arm-none-eabi-gcc or riscv64-unknown-elf-gcc, and the unicorn package.
"""

from __future__ import annotations

import shutil
import struct
import subprocess

import c99_host
import networks
import numpy as np
import pytest

import hardware_profiles
from event_sim import fixed
from liquid_neuro import Wiring, ltc
from mappers import quantize

pytestmark = pytest.mark.slow

# Compiler, its flags.
PROCESSORS = {
    "cortex-m4": ("arm-none-eabi", ("-mcpu=cortex-m4", "-mthumb")),
    "cortex-m0plus": ("arm-none-eabi", ("-mcpu=cortex-m0plus", "-mthumb")),
    "rv32imc": ("riscv64-unknown-elf", ("-march=rv32imc", "-mabi=ilp32")),
}
SCRIPT = "SECTIONS { . = 0x8000; .text : { *(.text*) *(.rodata*) } . = 0x100000; .data : { *(.data*) *(.bss*) *(COMMON) } }\n"
STACK, STOP, MEMORY = 0x300000, 0x3F0000, 0x400000
# The processor has no library: what the compiler calls by itself stands here.
HARNESS = """#include <stddef.h>
#include "liquid.h"

liquid_state emulated_state;
liquid_input emulated_input[LIQUID_INPUTS];
liquid_output emulated_output[LIQUID_OUTPUTS];
int32_t emulated_words[LIQUID_UNITS];

void *memcpy(void *to, const void *from, size_t count)
{
    char *a = to;
    const char *b = from;
    while (count-- > 0) { *a++ = *b++; }
    return to;
}

void *memset(void *to, int value, size_t count)
{
    char *a = to;
    while (count-- > 0) { *a++ = (char)value; }
    return to;
}

void emulated_reset(void) { liquid_reset(&emulated_state); }
void emulated_step(void) { liquid_step(&emulated_state, emulated_input, emulated_output); }
void emulated_read(void) { liquid_words(&emulated_state, emulated_words); }
"""


class Machine:
    """A processor with an exported network in its memory."""

    def __init__(self, folder, processor: str) -> None:
        self.unicorn = pytest.importorskip("unicorn")
        tools = PROCESSORS[processor][0]
        if shutil.which(f"{tools}-gcc") is None:
            pytest.skip(f"no {tools}-gcc on this machine")
        self.instructions = 0
        image, self.symbols, self.flash = linked(folder, processor)
        self.cpu, self.stack, self.back, self.odd = self._processor(processor)
        self.cpu.mem_map(0, MEMORY)
        for address, content in segments(image):
            self.cpu.mem_write(address, content)
        self.cpu.hook_add(self.unicorn.UC_HOOK_CODE, self._count)

    def _processor(self, processor: str):
        """(the emulator, its registers of the stack and of the return address, 1 where an odd address means Thumb)."""
        unicorn = self.unicorn
        if processor.startswith("rv32"):
            riscv = pytest.importorskip("unicorn.riscv_const")
            return unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32), riscv.UC_RISCV_REG_SP, riscv.UC_RISCV_REG_RA, 0
        arm = pytest.importorskip("unicorn.arm_const")
        cpu = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        cpu.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M4 if processor == "cortex-m4" else arm.UC_CPU_ARM_CORTEX_M0)
        return cpu, arm.UC_ARM_REG_SP, arm.UC_ARM_REG_LR, 1

    def _count(self, *_: object) -> None:
        self.instructions += 1

    def call(self, name: str) -> int:
        """Runs a function without arguments; returns its instructions."""
        self.instructions = 0
        self.cpu.reg_write(self.stack, STACK)
        self.cpu.reg_write(self.back, STOP | self.odd)
        self.cpu.emu_start(self.symbols[name] | self.odd, STOP)
        return self.instructions

    def run(self, words: np.ndarray, units: int) -> tuple[np.ndarray, np.ndarray]:
        """(state words (samples, units), instructions (samples,)) of input words from rest."""
        self.call("emulated_reset")
        states, counts = [], []
        for row in words:
            self.cpu.mem_write(self.symbols["emulated_input"], row.astype("<i2").tobytes())
            counts.append(self.call("emulated_step"))
            self.call("emulated_read")
            states.append(np.frombuffer(self.cpu.mem_read(self.symbols["emulated_words"], 4 * units), dtype="<i4"))
        return np.array(states), np.array(counts)


def linked(folder, processor):
    """(the ELF file's bytes, addresses by name, bytes of code and constants of liquid.c)."""
    (folder / "harness.c").write_text(HARNESS)
    (folder / "harness.ld").write_text(SCRIPT)
    tools, machine = PROCESSORS[processor]
    flags = ["-std=c99", "-ffreestanding", "-O2", *machine, "-Wall", "-Wextra", "-Werror", "-pedantic"]
    for source in ("liquid", "harness"):
        extra = ["-fno-tree-loop-distribute-patterns"] if source == "harness" else []
        subprocess.run([f"{tools}-gcc", *flags, *extra, "-c", f"{source}.c", "-o", f"{source}.o"], cwd=folder, check=True)
    link = [f"{tools}-gcc", *machine, "-nostdlib", "-Wl,-e,emulated_step", "-T", "harness.ld", "-o", "program.elf"]
    subprocess.run([*link, "liquid.o", "harness.o", "-lgcc"], cwd=folder, check=True)
    names = subprocess.run([f"{tools}-nm", "program.elf"], cwd=folder, check=True, capture_output=True, text=True).stdout
    size = subprocess.run([f"{tools}-size", "liquid.o"], cwd=folder, check=True, capture_output=True, text=True).stdout
    symbols = {line.split()[2]: int(line.split()[0], 16) for line in names.splitlines() if len(line.split()) == 3}
    return (folder / "program.elf").read_bytes(), symbols, int(size.splitlines()[1].split()[0])


def segments(image: bytes):
    """(address, content) of what an ELF file loads."""
    offset = struct.unpack_from("<I", image, 28)[0]
    size, count = struct.unpack_from("<HH", image, 42)
    for number in range(count):
        kind, start, address, _, length, *_ = struct.unpack_from("<8I", image, offset + number * size)
        if kind == 1:
            yield address, image[start : start + length]


def reference():
    """(network, inputs): AutoNCP of 19 neurons and one output, 8 inputs, 47 + 40 synapses, 6 unfolds."""
    network = ltc(Wiring.auto_ncp(8, 19, 1), seed=0)
    assert (network.wiring.synapse_count, network.wiring.sensory_synapse_count) == (47, 40)
    return network, np.cumsum(np.random.default_rng(0).normal(0.0, 0.2, (100, 8)), axis=0)


@pytest.mark.parametrize(("processor", "tables", "most", "most_flash"), [
    ("cortex-m4", "fast", 11_700, 3800),
    ("cortex-m4", "small", 12_450, 3050),
    ("cortex-m0plus", "fast", 24_300, 3950),
    ("cortex-m0plus", "small", 26_500, 3250),
    ("rv32imc", "fast", 19_500, 4150),
    ("rv32imc", "small", 20_900, 3450),
])  # fmt: skip
def test_the_reference_network_on_a_small_processor(tmp_path, record_property, processor, tables, most, most_flash):
    network, x = reference()
    profile = hardware_profiles.load("cortex_m0plus" if processor == "cortex-m0plus" else "cortex_m4")
    quantized = quantize(network, profile, calibration=x)
    machine = Machine(c99_host.exported(quantized, tmp_path / "c", tables=tables), processor)
    states, counts = machine.run(quantized.input_format.quantize(x), network.units)
    assert np.array_equal(states, fixed.state_words(quantized, x)[0])
    record_property("instructions", float(counts.mean()))
    record_property("flash", machine.flash)
    print(f"{processor}, {tables} tables: {counts.mean():.0f} instructions per step, {machine.flash} bytes of flash")
    assert counts.max() <= most
    assert machine.flash <= most_flash


@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize(
    "name", ["ltc_ncp19", "ltc_fc12_unfold3", "cfc_wired_ncp19", "cfc_default", "cfc_nogate", "cfc_pure", "cfc_mixed", "ltc_auto32_mixed"]
)
def test_golden_networks_on_a_small_processor(tmp_path, processor, name):
    network, arrays = networks.golden(name)
    x = arrays["x"].reshape(-1, network.inputs).astype(float)[:40]
    quantized = quantize(network, hardware_profiles.load("cortex_m4"), calibration=x)
    machine = Machine(c99_host.exported(quantized, tmp_path / "c"), processor)
    states, counts = machine.run(quantized.input_format.quantize(x), network.units)
    assert np.array_equal(states, fixed.state_words(quantized, x)[0])
    print(f"{name} on {processor}: {counts.mean():.0f} instructions per step, {machine.flash} bytes of flash")
