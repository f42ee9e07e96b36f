"""The metrics' text: what Prometheus' own parser reads of it."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families as parse

from rewindd.service.numbers.exposition import Family, Sample, gauge, histogram, text
from rewindd.service.numbers.meter import BOUNDS_S, OTHER, Meter

words = st.text(max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(numbers, st.dictionaries(st.sampled_from(["op", "why", "version"]), words))
def test_a_number_is_read_as_it_was(value: float, labels: dict[str, str]) -> None:
    """Any number and any label's text come out of the parser as they went in."""
    (family,) = parse(text([gauge("one", "Something.", value, **labels)]))
    (sample,) = family.samples
    assert (family.name, family.type, sample.value, sample.labels) == ("rewindd_one", "gauge", value, labels)


@given(st.lists(st.floats(0, 1000), max_size=50))
def test_durations(spans_s: list[float]) -> None:
    """Each bucket has those that took at most so long, the last one all; sum and count are theirs."""
    meter = Meter()
    for took_s in spans_s:
        meter.answered("ping", "ok", took_s)
    if not spans_s:
        assert not meter.durations
        return
    found = meter.durations["ping"]
    (family,) = parse(text([Family("d_seconds", "histogram", "Spans.", histogram(BOUNDS_S, found.buckets, found.sum_s, {"op": "ping"}))]))
    values = {(one.name, one.labels.get("le")): one.value for one in family.samples}
    for bound in BOUNDS_S:
        name = str(int(bound)) if bound.is_integer() else str(bound)
        assert values["rewindd_d_seconds_bucket", name] == sum(took_s <= bound for took_s in spans_s)
    assert values["rewindd_d_seconds_bucket", "+Inf"] == values["rewindd_d_seconds_count", None] == found.count == len(spans_s)
    assert abs(values["rewindd_d_seconds_sum", None] - sum(spans_s)) < 1e-6


def test_a_callers_words_make_no_numbers() -> None:
    """What is no operation is counted under one name, whatever it was called."""
    meter = Meter()
    for op in ("ping", "pong", "-", 'x"} 1\ny'):
        meter.answered(op, "unknown-op", 0.1)
    assert dict(meter.outcomes) == {("ping", "unknown-op"): 1, (OTHER, "unknown-op"): 3}


def test_what_nobody_counted_is_left_out() -> None:
    """A family without samples has no lines: a name without a number says nothing."""
    assert text([Family("none_total", "counter", "Nothing.", []), Family("one_total", "counter", "One.", [Sample(1)])]).count("none") == 0
