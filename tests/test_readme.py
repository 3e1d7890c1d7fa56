"""The README's code runs as it stands, and its commands are those that exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_the_pipeline_of_the_readme_runs(tmp_path):
    for code in blocks("python"):
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "build" / "lava" / "run.py").is_file()


def test_the_two_commands_stand_alone_on_their_lines():
    first = blocks("bash")[0].splitlines()
    assert first == ["pip install uv && uv run liquid-neuro demo", "uv run pytest"]


def test_commands_and_links_of_the_readme_exist():
    from liquid_neuro.__main__ import COMMANDS

    used = set(re.findall(r"^(?:uv run )?liquid-neuro ([a-z-]+)", "\n".join(blocks("bash")), flags=re.MULTILINE))
    assert used <= set(COMMANDS)
    for path in re.findall(r"\]\((?!https?:)([^)#]+)\)", README) + ["LICENSE", "liquid_neuro/data/occupancy/LICENSE.md", ".ci/run"]:
        assert (ROOT / path).exists(), path
