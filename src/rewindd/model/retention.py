"""What the store keeps, and for how long."""

from dataclasses import dataclass

#: Of each session so many checkpoints stay, the newest: months of work at some twenty a day.
KEEP_LAST = 1000
#: And the last one of each of so many days on which the session has any.
KEEP_DAILY = 90
#: Between two looks at what may go: the rules count days.
INTERVAL_S = 3600
#: Of `max_bytes` in `[store]`, in percent: from there on the store is over its quota, while there is still room to work on.
QUOTA_PERCENT = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """`[retention]`. `keep_last`, `keep_daily`: how many checkpoints of a session stay by this rule; where both are 0, all do.

    `keep_labelled`: what somebody named stays. `max_age_s`: what is older goes all the same, but for what is labelled; 0: nothing does.
    `max_store_bytes`, 0: `QUOTA_PERCENT` of what the store may hold; `max_workspace_bytes`, 0: no bound. `interval_s`: how
    often it is looked at idle what may go; 0: never, nothing goes unasked.
    """

    keep_last: int = KEEP_LAST
    keep_daily: int = KEEP_DAILY
    keep_labelled: bool = True
    max_age_s: int = 0
    max_store_bytes: int = 0
    max_workspace_bytes: int = 0
    interval_s: int = INTERVAL_S
