"""Exported C on this machine: compile it, run words through it, and read every state word back."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import hardware_profiles
import mappers

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
SANITIZED = ["-O1", "-g", "-fsanitize=undefined,address", "-fno-sanitize-recover=all"]
# Reads rows of int32 (1 to reset first, then the inputs, then the timespan) and writes the state words and the outputs of each.
DRIVER = """#include <stdio.h>
#include "liquid.h"

#ifdef LIQUID_ELAPSED_FRACTION
#define LIQUID_CLOCK 1
#else
#define LIQUID_CLOCK 0
#endif

int main(void)
{
    static liquid_state state;
    int32_t row[1 + LIQUID_INPUTS + LIQUID_CLOCK];
    int32_t words[LIQUID_UNITS + LIQUID_OUTPUTS];
    liquid_input input[LIQUID_INPUTS];
    liquid_output output[LIQUID_OUTPUTS];
    int i;

    while (fread(row, sizeof row, 1, stdin) == 1) {
        if (row[0]) {
            liquid_reset(&state);
        }
        for (i = 0; i < LIQUID_INPUTS; i++) {
            input[i] = (liquid_input)row[1 + i];
        }
#if LIQUID_CLOCK
        liquid_step(&state, row[1 + LIQUID_INPUTS], input, output);
#else
        liquid_step(&state, input, output);
#endif
        liquid_words(&state, words);
        for (i = 0; i < LIQUID_OUTPUTS; i++) {
            words[LIQUID_UNITS + i] = output[i];
        }
        fwrite(words, sizeof words, 1, stdout);
    }
    return 0;
}
"""


def compiler() -> str:
    """A C compiler; skips where there is none."""
    found = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
    if found is None:
        pytest.skip("no C compiler on this machine")
    return found


def exported(quantized, folder: Path, **options):
    """The folder of a C99 export."""
    profile = hardware_profiles.load(quantized.profile)
    return mappers.export(mappers.map_network(quantized, profile), "c99", folder, **options).path


def built(folder: Path, *flags: str, sources=("liquid.c", "driver.c"), program: str = "driver") -> Path:
    """A program of the folder, compiled without one warning."""
    (folder / "driver.c").write_text(DRIVER)
    done = subprocess.run([compiler(), *STRICT, *flags, "-o", program, *sources], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / program


def run(program: Path, quantized, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(state words (windows, time, units), output words (windows, time, outputs)) of host words, each window from rest.

    words: (windows, time, inputs), followed by the timespan's word where the network hears it.
    """
    first = np.zeros((*words.shape[:2], 1), dtype=np.int64)
    first[:, 0] = 1
    rows = np.concatenate([first, words], axis=2).astype(np.int32)
    done = subprocess.run([program], input=rows.tobytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    units = quantized.network.units
    result = np.frombuffer(done.stdout, dtype=np.int32).reshape(*words.shape[:2], units + len(quantized.output_compartments))
    return result[..., :units], result[..., units:]
