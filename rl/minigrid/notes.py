"""What the teacher is told of every grid world: its rules, the fields of a situation, how to plan.

A level's own rules (`rl.minigrid.catalogue`) follow the rules of the world. Situations stand here
as indented blocks: what a task says of itself must not be taken for a question.
"""

from __future__ import annotations

from textwrap import indent
from typing import Final

_WORLD: Final = """\
## The world

- The world is made of square cells. The agent lives in one or more rooms with walls around them. It
  sees only a small window in front of it and remembers what it has seen. What is not listed as seen
  may still exist elsewhere.
- The mission says when the task is done: a goal reached, a door opened, an object picked up.
- A door is open, closed or locked. A closed door opens without a key. A locked door opens only
  while the agent carries a key of the door's colour. A key of another colour does nothing.
- The agent carries one thing at a time. To pick up something else it must drop what it carries
  first. It keeps a key after opening a door with it.
- Fewer steps are better, and an episode has a limited number of them."""

_FIELDS: Final = """\
## The fields of a situation

- `mission`: what the agent was asked to do.
- `carrying`: the one thing in its hand, or `nothing`. It is not among the objects seen.
- `seen`: the objects it has seen, separated by `;`, with a door's state in brackets, or `nothing`.
- `unexplored`: `yes` where there is still something to explore, `no` where there is not."""

_ADVICE: Final = """\
## How to plan in this world

- `pick_up` and `open` walk up to their target themselves: no `go_to` is needed before them.
- Name only objects that are listed under `seen`.
- A situation changes when something new is seen, something is picked up, or a door opens.
- Ask yourself first what the mission still needs, and whether that was seen. If it was, go and get
  it. If it was not, explore. If nothing is left to explore, open a door: the rest lies behind it.
- What may stand in the way is a locked door, a full hand, or something not found yet.
- A locked door needs its key in hand first. Seen both, take the key, then open the door. With the
  key in hand and the door seen, open the door at once.
- Pick up or drop a thing only if the mission or a locked door asks for it."""

EXAMPLES: Final = (
    (
        "The box was seen and nothing is in the hand, so take it at once:",
        "mission: pick up the grey box\ncarrying: nothing\nseen: green ball; grey box\n"
        "unexplored: yes",
        "`pick_up(grey box)`",
    ),
    (
        "The hand is full, and what it holds is of no use for the mission. Make room first:",
        "mission: pick up the grey box\ncarrying: green ball\nseen: grey box\nunexplored: no",
        "`drop()`, `pick_up(grey box)`",
    ),
    (
        "The goal was not seen, and there is a place left to look. A locked door without its key "
        "is no way:",
        "mission: get to the green goal square\ncarrying: nothing\n"
        "seen: green ball; yellow door (locked)\nunexplored: yes",
        "`explore()`",
    ),
    (
        "Nothing is left to explore on this side, so the goal lies behind the door, and its key is "
        "known:",
        "mission: get to the green goal square\ncarrying: nothing\n"
        "seen: yellow key; purple key; yellow door (locked)\nunexplored: no",
        "`pick_up(yellow key)`, `open(yellow door)`, `explore()`",
    ),
    (
        "The way is open and the goal in sight; the key in the hand is no longer needed but does "
        "no harm:",
        "mission: get to the green goal square\ncarrying: yellow key\n"
        "seen: green goal; yellow door (open)\nunexplored: yes",
        "`go_to(green goal)`",
    ),
)
"""Situations of grid worlds with good plans: (why, the situation's text, the plan)."""


def notes_with(own: str) -> str:
    """The notes of a grid task. own: its own rules, a paragraph or more; may be empty."""
    examples = [
        part for why, situation, plan in EXAMPLES for part in (why, indent(situation, "    "), plan)
    ]
    parts = (_WORLD, own, _FIELDS, _ADVICE, "## Examples from such worlds", *examples)
    return "\n\n".join(part for part in parts if part)
