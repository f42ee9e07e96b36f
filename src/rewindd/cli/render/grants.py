"""Grants as a person reads them."""

from rewindd.cli.render.words import size, visible, when
from rewindd.cli.screen import Paint
from rewindd.protocol.replies import Grant


def grant(found: Grant, paint: Paint) -> str:
    """Returns one grant on one line, its id first."""
    inside = f" as {visible(found.inside)}" if found.inside != found.root else ""
    used = f"{size(found.used_bytes)} of {size(found.quota_bytes)} used"
    return f"{paint(found.id, 'bold')}  {visible(found.root)}{inside}  {','.join(found.ops)}  until {when(found.ends_at)}  ({used})"
