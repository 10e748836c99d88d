"""A provider of one's own, whole: it calls the first option on offer."""

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult


class FirstOption(BaseChatModel):
    @property
    def _llm_type(self):
        return "first-option"

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        return self.bind(tools=tools, tool_choice=tool_choice, **kwargs)

    def _generate(self, messages, stop=None, run_manager=None, *, tools=(), **kwargs):
        first = tools[0]["function"]
        targets = first["parameters"]["properties"].get("target", {}).get("enum", [])
        arguments = {"target": targets[0]} if targets else {}
        call = {"name": first["name"], "args": arguments, "id": "1", "type": "tool_call"}
        answer = AIMessage("", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=answer)])


def make(settings):
    return FirstOption()
