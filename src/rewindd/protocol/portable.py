"""A checkpoint in portable form, with exact times: what `export` answers and `import` takes, one JSON checkpoint file's worth."""

import msgspec

from rewindd.model.conversation import ToolCallRecord
from rewindd.paths import FsText


class PortableDiff(msgspec.Struct, frozen=True, kw_only=True):
    """A file's change in a checkpoint file: absolute path, text before and after (an absent file is empty text), time in ns."""

    path: FsText
    before: str
    after: str
    timestamp_ns: int


class PortableCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint with exact times, as the JSON files hold it. Durations and times in nanoseconds."""

    id: str
    timestamp_ns: int
    start_time_ns: int
    total_messages: int
    total_tool_calls: int
    total_duration_ns: int
    estimated_tokens: int
    user_prompts: list[str]
    assistant_responses: list[str]
    tool_calls: list[ToolCallRecord]
    file_diffs: list[PortableDiff]
