"""Messages on the mesh: XY routing, hops, and loads of links. A multicast spike is one message per destination core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Place = tuple[int, int]
Link = tuple[Place, Place]


@dataclass(frozen=True)
class Hops:
    """Totals of a run. tile_messages: between different cores of one tile. busiest_link: messages over the fullest link."""

    east_west: float
    north_south: float
    tile_messages: float
    busiest_link: float

    @property
    def total(self) -> float:
        """All hops between tiles."""
        return self.east_west + self.north_south


def route(start: Place, end: Place) -> list[Link]:
    """The links from tile to tile, first along x, then along y; empty where both are the same tile."""
    (x, y), links = start, []
    while (x, y) != end:
        step = (x + (1 if end[0] > x else -1), y) if x != end[0] else (x, y + (1 if end[1] > y else -1))
        links.append(((x, y), step))
        x, y = step
    return links


def link_loads(traffic: FloatArray, core_xy: IntArray) -> Mapping[Link, float]:
    """Messages over each link that carries any. traffic: (cores, cores) messages from row to column; core_xy: (cores, 2) tiles."""
    loads: dict[Link, float] = {}
    for source, target in np.argwhere(traffic > 0).tolist():
        for link in route((int(core_xy[source, 0]), int(core_xy[source, 1])), (int(core_xy[target, 0]), int(core_xy[target, 1]))):
            loads[link] = loads.get(link, 0.0) + float(traffic[source, target])
    return loads


def hops(traffic: FloatArray, core_xy: IntArray) -> Hops:
    """What the messages of `traffic` (cores, cores) cost on the mesh; the diagonal (a core's messages to itself) costs none."""
    distance = np.abs(core_xy[:, None, :] - core_xy[None, :, :])
    same_tile = distance.sum(axis=2) == 0
    between = traffic * ~np.eye(len(traffic), dtype=bool)
    loads = link_loads(between, core_xy)
    return Hops(
        east_west=float((between * distance[:, :, 0]).sum()),
        north_south=float((between * distance[:, :, 1]).sum()),
        tile_messages=float(between[same_tile].sum()),
        busiest_link=max(loads.values(), default=0.0),
    )
