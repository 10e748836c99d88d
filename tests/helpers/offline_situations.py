"""What several tests of offline share."""

from __future__ import annotations

from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration

from tutelage.agents.planner.option_tools import OptionTools
from tutelage.agents.providers.offline import OfflineTeacher
from tutelage.rl.minigrid.script import GridScript
from tutelage.rl.tasks.options import Option, Plan

SCRIPT = GridScript()

COLORS = ("red", "green", "blue", "purple", "yellow", "grey")


MISSIONS = (
    "open the door",
    "open one of the two doors",
    "open the red door then the blue door",
    "get to the green goal square",
    "avoid the lava and get to the green goal square",
    "use the key to open the door and then get to the goal",
    "reach the goal",
    "pick up the green box",
    "go to the red ball",
    "put the red ball near the blue box",
    "",
)


DOOR_STATES = ("open", "closed", "locked")


def text_of(mission: str, carrying: str, seen: tuple[str, ...], unexplored: bool) -> str:
    return (
        f"mission: {mission}\ncarrying: {carrying}\nseen: {'; '.join(seen) or 'nothing'}\n"
        f"unexplored: {'yes' if unexplored else 'no'}"
    )


def offered_in(carrying: str, seen: tuple[str, ...], unexplored: bool) -> tuple[Option, ...]:
    """What a grid task has on offer."""
    names = [item.partition(" (")[0] for item in seen if item != "lava"]
    offered = [Option("explore")] if unexplored else []
    offered += [Option("go_to", name) for name in names]
    offered += [Option("pick_up", n) for n in names if n.split()[1] in ("key", "ball", "box")]
    offered += [] if carrying == "nothing" else [Option("drop")]
    offered += [
        Option("open", item.partition(" (")[0])
        for item in seen
        if item.endswith(("(closed)", "(locked)"))
    ]
    return tuple(offered)


things = st.one_of(
    st.sampled_from(("green goal", "lava")),
    st.builds("{} {}".format, st.sampled_from(COLORS), st.sampled_from(("key", "ball", "box"))),
    st.builds("{} door ({})".format, st.sampled_from(COLORS), st.sampled_from(DOOR_STATES)),
)


situations = st.tuples(
    st.sampled_from(MISSIONS),
    st.sampled_from(("nothing", "red key", "blue key", "red ball")),
    st.lists(things, max_size=6, unique=True).map(tuple),
    st.booleans(),
)


def ask(
    model: OfflineTeacher,
    text: str,
    offered: tuple[Option, ...],
    *,
    n: int = 1,
    first: int = 0,
    system: str = "Plan.",
) -> list[Plan]:
    """The plans of n answers, through messages and tools as a planner sends them."""
    tools = OptionTools(offered)
    messages = [SystemMessage(system), HumanMessage(f"Now:\n\n```situation\n{text}\n```\nPlan!")]
    result = model.generate([messages], n=n, first_sample=first, tools=tools.schemas)
    answers = [g.message for g in result.generations[0] if isinstance(g, ChatGeneration)]
    assert len(answers) == n
    return [
        tools.plan_of(answer, model.max_options)
        for answer in answers
        if isinstance(answer, AIMessage)
    ]
