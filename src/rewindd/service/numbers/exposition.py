"""Numbers as Prometheus reads them: its text format, version 0.0.4. Pure.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

#: Goes before every name.
PREFIX = "rewindd_"


@dataclass(frozen=True, slots=True)
class Sample:
    """One number. `suffix` is for the parts of a histogram."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """Numbers of one name. `help` is one line without backslashes."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    samples: Sequence[Sample]


def gauge(name: str, what: str, value: float, **labels: str) -> Family:
    """Returns one number that may rise and fall."""
    return Family(name, "gauge", what, [Sample(value, labels)])


def histogram(bounds: Sequence[float], buckets: Sequence[int], total: float, labels: Mapping[str, str]) -> list[Sample]:
    """Returns a histogram's samples: how many were at most each bound, their sum and their number.

    Args:
        bounds: upper bounds, rising.
        buckets: how many fell between each bound and the one before; one more for those beyond the last.
        total: the sum of what was measured.
        labels: of all samples.
    """
    names = [*(_number(bound) for bound in bounds), "+Inf"]
    found = [Sample(count, {**labels, "le": name}, "_bucket") for name, count in zip(names, accumulate(buckets), strict=True)]
    return [*found, Sample(total, labels, "_sum"), Sample(sum(buckets), labels, "_count")]


def text(families: Iterable[Family]) -> str:
    """Returns the families in the text format; one without samples is left out."""
    return "".join(_family(one) for one in families if one.samples)


def _family(family: Family) -> str:
    name = PREFIX + family.name
    lines = [f"# HELP {name} {family.help}", f"# TYPE {name} {family.kind}"]
    lines += [f"{name}{one.suffix}{_labels(one.labels)} {_number(one.value)}" for one in family.samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
