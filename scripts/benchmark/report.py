"""Figures, and how they are told: a table for people, one object for programs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure beside its floor, interleaved in the same run.

    `limit`: what the median must stay below; `times`: how many medians of the floor it may be. `syncs`: how often the store
    was synced between request and reply, at least; None where it was not looked at.
    """

    name: str
    unit: str
    floor_name: str
    samples: Sequence[float]
    floor: Sequence[float]
    limit: float | None = None
    times: float | None = None
    syncs: int | None = None
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def p50(self) -> float:
        """The median."""
        return median(self.samples)

    @property
    def p99(self) -> float:
        """The 99th percentile; of fewer than 100 samples the largest."""
        return quantiles(self.samples, n=100)[98] if len(self.samples) >= 100 else max(self.samples)

    @property
    def floor_p50(self) -> float:
        """The floor's median."""
        return median(self.floor)

    @property
    def ratio(self) -> float | None:
        """How many floors it is; None where the floor is nothing."""
        return self.p50 / self.floor_p50 if self.floor_p50 else None

    @property
    def is_met(self) -> bool:
        """True when the target is met."""
        if self.times is not None:
            return self.ratio is not None and self.ratio <= self.times
        return self.limit is None or self.p50 <= self.limit

    @property
    def target(self) -> str:
        """The target in words."""
        return f"<= {self.times:g}x floor" if self.times is not None else f"<= {self.limit:g} {self.unit}"


_HEADINGS = ("figure", "target", "p50", "p99", "floor p50", "ratio", "syncs", "")


def table(figures: Sequence[Figure]) -> str:
    """Returns the figures as a table, with what each floor is below."""
    rows = [_HEADINGS, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = ["  ".join(_cell(text, width, column) for column, (text, width) in enumerate(zip(row, widths, strict=True))) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    floors = [f"{figure.name}: floor is {figure.floor_name}" + "".join(f"; {note}" for note in figure.notes) for figure in figures]
    return "\n".join([*(line.rstrip() for line in lines), "", *floors])


def as_json(figures: Sequence[Figure], surroundings: dict[str, str]) -> str:
    """Returns everything as one JSON object."""
    told = [
        {
            "figure": figure.name,
            "unit": figure.unit,
            "target": figure.target,
            "p50": figure.p50,
            "p99": figure.p99,
            "min": min(figure.samples),
            "samples": len(figure.samples),
            "floor": figure.floor_name,
            "floor_p50": figure.floor_p50,
            "floor_min": min(figure.floor),
            "ratio": figure.ratio,
            "syncs": figure.syncs,
            "ok": figure.is_met,
            "notes": list(figure.notes),
        }
        for figure in figures
    ]
    return json.dumps({"surroundings": surroundings, "figures": told})


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        f"{figure.name}, {figure.unit}",
        figure.target,
        f"{figure.p50:.2f}",
        f"{figure.p99:.2f}",
        f"{figure.floor_p50:.2f}",
        f"{figure.ratio:.1f}x" if figure.ratio is not None else "",
        str(figure.syncs) if figure.syncs is not None else "",
        "ok" if figure.is_met else "MISSED",
    )


def _cell(text: str, width: int, column: int) -> str:
    return text.rjust(width) if 2 <= column <= 6 else text.ljust(width)
