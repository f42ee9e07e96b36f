"""Comparisons with shadow git, what is demanded of each, and how they are told: Markdown for people and docs, one object for programs."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import NamedTuple

#: Fewer samples have no 99th percentile of their own: the largest is told.
MANY = 100


class Key(NamedTuple):
    """What was measured, and in a tree of how many files."""

    files: int
    name: str


class Samples:
    """What was measured: of rewindd and of what it stands beside."""

    def __init__(self) -> None:
        self.ours: defaultdict[Key, list[float]] = defaultdict(list)
        self.other: defaultdict[Key, list[float]] = defaultdict(list)

    def sizes(self) -> list[int]:
        """Returns the sizes of tree that were measured, in order."""
        return sorted({key.files for key in self.ours})


@dataclass(frozen=True, slots=True)
class Demand:
    """What a figure must be. `aim`: what is hoped for."""

    #: `faster`: the other's is at least so many times ours; `within`: ours at most so many times the other's; `below`: ours in its unit.
    kind: str
    value: float
    aim: float | None = None

    @property
    def told(self) -> str:
        """The demand in words."""
        words = {"faster": f"≥ {self.value:g}x", "within": f"≤ {self.value:g}x", "below": f"< {self.value:g}"}[self.kind]
        return words if self.aim is None else f"{words}, aim {self.aim:g}x"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A figure beside another one of the same run. `other` is empty where it stands alone. `at_p99`: percentiles are compared."""

    name: str
    files: int
    unit: str
    ours: Sequence[float]
    other: Sequence[float] = ()
    other_name: str = "shadow git"
    demand: Demand | None = None
    at_p99: bool = False

    def value(self, samples: Sequence[float]) -> float:
        """Returns what is compared: the median, or the 99th percentile."""
        return p99(samples) if self.at_p99 else median(samples)

    @property
    def ratio(self) -> float | None:
        """How many times the smaller fits into the larger, as the demand asks; None where there is nothing to compare."""
        return self._ratio(self.value(self.ours), self.value(self.other)) if self.other else None

    @property
    def ratio_of_minima(self) -> float | None:
        """The same of the minima; None for percentiles."""
        return self._ratio(min(self.ours), min(self.other)) if self.other and not self.at_p99 else None

    @property
    def is_met(self) -> bool | None:
        """Whether the demand is met; None where there is none."""
        if self.demand is None:
            return None
        if self.demand.kind == "below":
            return self.value(self.ours) < self.demand.value
        if self.ratio is None:
            return False
        return self.ratio >= self.demand.value if self.demand.kind == "faster" else self.ratio <= self.demand.value

    def _ratio(self, ours: float, other: float) -> float | None:
        if self.demand is not None and self.demand.kind == "within":
            return ours / other if other else None
        return other / ours if ours else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is told of one kind of sample. `demands`: by the number of files; that of 0 holds for every tree."""

    name: str
    unit: str
    demands: dict[int, Demand] = field(default_factory=dict)
    other_name: str = "shadow git"
    at_p99: bool = False

    def demand(self, files: int) -> Demand | None:
        """Returns what is demanded at a tree of so many files."""
        return self.demands.get(files, self.demands.get(0))


def p99(samples: Sequence[float]) -> float:
    """Returns the 99th percentile; of fewer than `MANY` samples the largest."""
    return quantiles(samples, n=100)[98] if len(samples) >= MANY else max(samples)


def compare(samples: Samples, subjects: Iterable[Subject], level: Iterable[tuple[str, float]]) -> list[Comparison]:
    """Returns the comparisons of what was measured. `level`: names whose largest tree must be within so many times the smallest."""
    found = [
        Comparison(
            name=subject.name,
            files=files,
            unit=subject.unit,
            ours=samples.ours[key],
            other=samples.other.get(key, ()),
            other_name=subject.other_name,
            demand=subject.demand(files),
            at_p99=subject.at_p99,
        )
        for files in samples.sizes()
        for subject in subjects
        if (key := Key(files, subject.name)) in samples.ours
    ]
    least, most = min(samples.sizes(), default=0), max(samples.sizes(), default=0)
    if least != most:
        for name, times in level:
            few, many = (samples.ours.get(Key(files, name)) for files in (least, most))
            if few and many:
                demand = Demand("within", times)
                found.append(
                    Comparison(name=name, files=most, unit="ms", ours=many, other=few, other_name=f"{least:,} files", demand=demand)
                )
    return found


def markdown(comparisons: Sequence[Comparison]) -> str:
    """Returns a table of each size of tree, minima in brackets."""
    headings = ("figure", "rewindd", "beside", "", "ratio", "demanded", "")
    tables = []
    for files in sorted({one.files for one in comparisons}):
        rows = [headings, *(_row(one) for one in comparisons if one.files == files)]
        widths = [max(3, *(len(row[column]) for row in rows)) for column in range(len(headings))]
        lines = ["| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in rows]
        lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        tables.append("\n".join([f"{files:,} files: medians (minima)", "", *lines]))
    return "\n\n".join(tables)


def as_json(comparisons: Sequence[Comparison], surroundings: dict[str, str], failure: str | None) -> str:
    """Returns everything as one JSON object, samples too. `failure`: why it is not complete."""
    told = [
        {
            "figure": one.name,
            "files": one.files,
            "unit": one.unit,
            "statistic": "p99" if one.at_p99 else "median",
            "value": one.value(one.ours),
            "min": min(one.ours),
            "beside": one.other_name if one.other else None,
            "beside_value": one.value(one.other) if one.other else None,
            "beside_min": min(one.other) if one.other else None,
            "ratio": one.ratio,
            "ratio_of_minima": one.ratio_of_minima,
            "demanded": one.demand.told if one.demand is not None else None,
            "ok": one.is_met,
            "samples": list(one.ours),
            "beside_samples": list(one.other),
        }
        for one in comparisons
    ]
    return json.dumps({"surroundings": surroundings, "failure": failure, "comparisons": told})


def _row(one: Comparison) -> tuple[str, ...]:
    verdict = {None: "", True: "ok", False: "**MISSED**"}[one.is_met]
    ratio = f"{one.ratio:.1f}x" if one.ratio is not None else ""
    if one.ratio_of_minima is not None:
        ratio += f" ({one.ratio_of_minima:.1f}x)"
    return (
        f"{one.name}, {'p99, ' if one.at_p99 else ''}{one.unit}",
        _value(one, one.ours),
        _value(one, one.other) if one.other else "",
        one.other_name if one.other else "",
        ratio,
        one.demand.told if one.demand is not None else "",
        verdict,
    )


def _value(one: Comparison, samples: Sequence[float]) -> str:
    value = _number(one.value(samples))
    return value if one.at_p99 or len(samples) == 1 else f"{value} ({_number(min(samples))})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
