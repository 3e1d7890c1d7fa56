"""`liquid-neuro profiles`: the chips that are known, and every number of one of them with its source."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from liquid_neuro.commands.shared import Json, console, show, text

EXAMPLE = "liquid-neuro profiles loihi2"


def run(
    name: Annotated[str | None, typer.Argument(help="A profile by name, or the path of a TOML file; without one, all are listed.")] = None,
    as_json: Json = False,
) -> None:
    """List the hardware profiles, or show every number of one profile with its uncertainty and source."""
    import hardware_profiles

    if name is None:
        found = [hardware_profiles.load(item) for item in hardware_profiles.available()]
        summaries = [{"name": profile.name, "title": profile.title, "kind": profile.kind, "cores": profile.cores} for profile in found]
        show({"profiles": summaries}, True) if as_json else _print_rows(summaries, "Hardware profiles")
        return
    profile = hardware_profiles.load(name)
    if as_json:
        show(profile.to_dict(), True)
        return
    rows = []
    for place, number in profile.numbers():
        content = number.model_dump(exclude_none=True)
        confidence, source = content.pop("confidence"), content.pop("source")
        value = content.get("value", content.get("values", content.get("typical")))
        spread = f"{text(content['low'])} … {text(content['high'])}" if "low" in content and content["low"] != content["high"] else ""
        rows.append({"number": place, "typical": text(value), "low … high": spread, "confidence": confidence, "source": source})
    _print_rows(rows, f"{profile.title} ({profile.name}, {profile.kind})")


def _print_rows(rows: list[dict[str, Any]], title: str) -> None:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for heading in rows[0] if rows else ():
        table.add_column(
            heading,
            style="cyan" if heading in ("name", "number") else "",
            overflow="fold",
            no_wrap=heading in ("name", "number", "low … high"),
        )
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console().print(table)
