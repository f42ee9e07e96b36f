"""The conversation and statistics on the client's side."""

from datetime import timedelta

import pytest

from rewindd import errors
from rewindd.client import history as module
from rewindd.client.history import SessionHistory, SessionStats
from rewindd.model.conversation import ToolCallRecord


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "0s"), (59, "59s"), (60, "1m 0s"), (3599, "59m 59s"), (3600, "1h 0m"), (3660, "1h 1m"), (90061, "25h 1m")]
)
def test_format_duration(seconds: int, expected: str) -> None:
    """Durations read as the interface says, without an instance."""
    assert SessionStats.format_duration(timedelta(seconds=seconds)) == expected


def test_only_the_keywords_count() -> None:
    """Adding counts in the statistics only with tokens or a duration; recording always does."""
    stats = SessionStats.new()
    history = SessionHistory(stats)

    history.add_user_message("a")
    history.add_tool_call(ToolCallRecord("t", "{}", "ok", True))
    assert (stats.total_messages, stats.total_tool_calls) == (0, 0)

    history.add_user_message("b", tokens=3)
    history.add_assistant_message("c", duration=timedelta(seconds=2))
    stats.record_message(4, 1.5)
    stats.record_tool_call()

    assert (stats.total_messages, stats.total_tool_calls, stats.estimated_tokens) == (3, 1, 7)
    assert stats.total_duration == timedelta(seconds=3.5)


def test_the_lists_show_what_was_added() -> None:
    """The three lists hold what was added, in order, and clear empties them while the event still travels."""
    history = SessionHistory(SessionStats())
    call = ToolCallRecord("t", "{}", "ok", True)
    history.add_user_message("a")
    history.add_assistant_message("b")
    history.add_tool_call(call)
    assert (history.user_prompts, history.assistant_responses, history.tool_calls) == (["a"], ["b"], [call])

    history.clear()

    assert (history.user_prompts, history.assistant_responses, history.tool_calls) == ([], [], [])
    assert [event.kind for event in history.batch()] == ["user_prompt", "assistant_response", "tool_call", "clear"]


def test_a_rewind_and_its_undo_move_the_lists() -> None:
    """Standing at an earlier event takes what came later from the lists; standing at the later one brings it back."""
    history = SessionHistory(SessionStats())
    history.took((), 4)
    for number, text in enumerate("abc", start=5):
        history.add_user_message(text)
        history.sent(1, number)

    history.stand_at(6)
    assert history.user_prompts == ["a", "b"]
    history.add_user_message("d")
    history.sent(1, 8)
    assert history.user_prompts == ["a", "b", "d"]
    history.stand_at(7)
    assert history.user_prompts == ["a", "b", "c"]
    history.stand_at(9)
    assert history.user_prompts == ["a", "b", "c"]
    history.stand_at(4)
    assert history.user_prompts == []
    history.stand_at(8)
    assert history.user_prompts == ["a", "b", "d"]
    history.stand_at(None)
    assert history.user_prompts == []


def test_a_batch_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unsent goes in requests of bounded size, in order; one large event goes alone."""
    monkeypatch.setattr(module, "BATCH_BYTES", 300)
    history = SessionHistory(SessionStats())
    for text in ("a" * 400, "b" * 100, "c" * 100, "d"):
        history.add_user_message(text)

    sizes = []
    while history.unsent:
        batch = history.batch()
        sizes.append(len(batch))
        history.sent(len(batch), None)

    assert sizes == [1, 1, 2] or sizes == [1, 2, 1]


def test_text_that_cannot_travel() -> None:
    """Lone surrogates travel as question marks; an event over the limit is refused where it is added."""
    history = SessionHistory(SessionStats())
    history.add_user_message("a\udcffb")
    assert history.batch()[0].text == "a?b"

    with pytest.raises(errors.TooLarge):
        history.add_user_message("x" * (module.MAX_EVENT_BYTES + 1))
    assert history.unsent == 1
