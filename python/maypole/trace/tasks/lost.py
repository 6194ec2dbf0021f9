"""Tasks that were destroyed while they were pending: nobody kept a reference to them.

Source: https://docs.python.org/3/library/asyncio-task.html#asyncio.create_task, the note on references.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maypole.stacks import awaiting_frames, innermost_user_frame, shown

if TYPE_CHECKING:
    import asyncio

    from maypole.trace.tasks.births import Birth

MESSAGE = "Task was destroyed but it is pending!"
"""What asyncio says of such a task to the loop's exception handler."""


@dataclass(frozen=True, slots=True)
class LostTask:
    """A task that was destroyed while it was pending.

    `made_at` is the line that made it, `waited_at` the line of the program's own at which it stood, `age_s`
    the seconds that it lived; None where it is not known.
    """

    name: str
    coroutine: str
    made_at: str | None
    waited_at: str | None
    age_s: float | None

    def details(self) -> dict[str, Any]:
        """Return what asyncio's message does not say, for the context of an exception handler."""
        known = {"made_at": self.made_at, "waited_at": self.waited_at, "age_s": self.age_s}
        return {name: value for name, value in known.items() if value is not None}

    def __str__(self) -> str:
        """Say it in one sentence."""
        text = f"task {self.name!r} ({self.coroutine}) was destroyed while it was pending"
        text += f", {self.age_s:.3f} s old" if self.age_s is not None else ""
        text += f", made at {self.made_at}" if self.made_at else ", made at an unknown line"
        return text + (f"; it stood at {self.waited_at}" if self.waited_at else "")


def lost_task(task: asyncio.Task[Any], birth: Birth | None) -> LostTask:
    """Describe a task that is being destroyed."""
    coroutine = task.get_coro()
    frame = innermost_user_frame(awaiting_frames(coroutine))
    waited_at = None
    if frame is not None:
        waited_at = f"{shown(frame.f_code.co_filename)}:{frame.f_lineno} in {frame.f_code.co_qualname}"
    made_at = None
    if birth is not None and birth.site is not None:
        file, line, function = birth.site
        made_at = f"{shown(file)}:{line} in {function}"
    return LostTask(
        name=task.get_name(),
        coroutine=str(getattr(coroutine, "__qualname__", type(coroutine).__qualname__)),
        made_at=made_at,
        waited_at=waited_at,
        age_s=None if birth is None or birth.age_s is None else round(birth.age_s, 3),
    )
