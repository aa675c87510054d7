"""Conversations that other products export: what was said on the current branch, and nothing else of them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from chatanywhere_magic.core import FormatError
from chatanywhere_magic.export import read


def node(parent: str | None, role: str, words: str, **more: Any) -> dict[str, Any]:
    content = {"content_type": "text", "parts": [words]}
    return {"parent": parent, "children": [], "message": {"author": {"role": role}, "content": content, **more}}


CHATGPT = {
    "title": "Medians",
    "current_node": "e",
    "mapping": {
        "root": {"parent": None, "message": None},
        "s": node("root", "system", "Be brief."),
        "h": node("s", "user", "About me", metadata={"is_visually_hidden_from_conversation": True}),
        "a": node("h", "user", "What is a median?"),
        "b": node("a", "assistant", "An answer that was not liked."),
        "c": node("a", "assistant", "search()", recipient="web.run"),
        "d": node("c", "tool", "pages"),
        "e": node(
            "d", "assistant", "The middle\ue200cite\ue202turn0\ue201.", recipient="all", metadata={"model_slug": "x"}
        ),
    },
}
DEEPSEEK = {
    "title": "Medians",
    "mapping": {
        "root": {"parent": None, "message": None},
        "1": {"parent": "root", "message": {"fragments": [{"type": "REQUEST", "content": "What is a median?"}]}},
        "2": {
            "parent": "1",
            "message": {
                "fragments": [{"type": "THINK", "content": "Hm"}, {"type": "RESPONSE", "content": "The middle."}]
            },
        },
    },
}
CLAUDE = {
    "name": "Medians",
    "chat_messages": [
        {"uuid": "1", "sender": "human", "text": "What is a median?", "content": []},
        {
            "uuid": "2",
            "sender": "assistant",
            "text": "",
            "content": [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "The middle."}],
        },
    ],
}
OPEN_WEBUI = {
    "title": "Medians",
    "chat": {
        "params": {"temperature": 2},
        "models": ["x"],
        "history": {
            "currentId": "c",
            "messages": {
                "a": {"id": "a", "parentId": None, "role": "user", "content": "What is a median?"},
                "b": {"id": "b", "parentId": "a", "role": "assistant", "content": "No."},
                "c": {"id": "c", "parentId": "a", "role": "assistant", "content": "The middle."},
            },
        },
    },
}
LIBRECHAT = {
    "title": "Medians",
    "options": {"endpoint": "http://x", "model": "x"},
    "messages": [
        {
            "messageId": "1",
            "parentMessageId": "0",
            "isCreatedByUser": True,
            "text": "What is a median?",
            "children": [
                {"messageId": "2", "parentMessageId": "1", "isCreatedByUser": False, "text": "No."},
                {
                    "messageId": "3",
                    "parentMessageId": "1",
                    "isCreatedByUser": False,
                    "content": [{"type": "text", "text": "The middle."}],
                },
            ],
        }
    ],
}
JUPYTER = {
    "messages": [
        {"type": "msg", "body": "What is a median?", "sender": "ann", "time": 1},
        {"type": "msg", "body": "Wrong", "sender": "bo", "deleted": True},
        {"type": "msg", "body": "The middle.", "sender": "x::Jupyternaut", "time": 2},
    ],
    "users": {"ann": {"username": "ann"}, "x::Jupyternaut": {"username": "x::Jupyternaut", "bot": True}},
}
GEMINI = [
    {
        "header": "Gemini Apps",
        "title": "Prompted What is a median?",
        "safeHtmlItem": [{"html": "<p>The <b>middle</b>.</p><script src=x></script>"}],
    }
]
STUDIO = {
    "runSettings": {"model": "x"},
    "systemInstruction": {},
    "chunkedPrompt": {
        "chunks": [
            {"text": "What is a median?", "role": "user"},
            {"text": "Hm", "role": "model", "isThought": True},
            {"text": "The middle.", "role": "model"},
        ]
    },
}
GEMINI_API = {
    "contents": [
        {"role": "user", "parts": [{"text": "What is a median?"}]},
        {"role": "model", "parts": [{"text": "Hm", "thought": True}, {"text": "The middle."}]},
    ]
}
GROK = {
    "conversations": [
        {
            "conversation": {"title": "Medians"},
            "responses": [
                {"response": {"_id": "1", "sender": "human", "message": "What is a median?"}},
                {"response": {"_id": "2", "parent_response_id": "1", "sender": "ASSISTANT", "message": "The middle."}},
            ],
        }
    ]
}
SHAREGPT = {"conversations": [{"from": "human", "value": "What is a median?"}, {"from": "gpt", "value": "The middle."}]}
COPILOT = {
    "responderUsername": "GitHub Copilot",
    "requests": [
        {
            "message": {"text": "What is a median?"},
            "response": [{"kind": "toolInvocation", "value": "x"}, {"value": "The "}, {"value": "middle."}],
        }
    ],
}
LM_STUDIO = {
    "name": "Medians",
    "messages": [
        {
            "versions": [{"role": "user", "content": [{"type": "text", "text": "What is a median?"}]}],
            "currentlySelected": 0,
        },
        {
            "versions": [
                {"role": "assistant", "content": [{"type": "text", "text": "No."}]},
                {"role": "assistant", "steps": [{"content": [{"type": "text", "text": "The middle."}]}]},
            ],
            "currentlySelected": 1,
        },
    ],
}
LLM = [{"conversation_id": "1", "model": "x", "system": None, "prompt": "What is a median?", "response": "The middle."}]
EXPORTS = {
    "ChatGPT": [CHATGPT],
    "ChatGPT, one": CHATGPT,
    "DeepSeek": [DEEPSEEK],
    "Claude": [CLAUDE],
    "Open WebUI": [OPEN_WEBUI],
    "LibreChat": LIBRECHAT,
    "Jupyter AI": JUPYTER,
    "Gemini": GEMINI,
    "AI Studio": STUDIO,
    "Gemini's API": GEMINI_API,
    "Grok": GROK,
    "ShareGPT": [SHAREGPT],
    "Copilot": COPILOT,
    "LM Studio": LM_STUDIO,
    "llm": LLM,
}


@pytest.mark.parametrize("product", EXPORTS)
def test_what_was_said_last_is_read(product: str) -> None:
    (turn,) = read(json.dumps(EXPORTS[product]), "chat.json").conversation.turns
    version = turn.current
    assert (version.prompt, version.text, version.status) == ("What is a median?", "The middle.", "complete")


@pytest.mark.parametrize("product", EXPORTS)
def test_nothing_else_is_taken_from_a_record(product: str) -> None:
    (turn,) = read(json.dumps(EXPORTS[product]), "chat.json").conversation.turns
    version = turn.current
    taken = version.provider, version.model, version.parameters, version.reasoning, version.attachments
    assert not any(taken)


def test_titles_and_system_prompts_come_along() -> None:
    conversation = read(json.dumps([CHATGPT]), "conversations.json").conversation
    assert (conversation.title, conversation.turns[0].current.system) == ("Medians", "Be brief.")


@pytest.mark.parametrize("name", ["lab.chat", "My Activity.json", "prompt from AI Studio"])
def test_the_name_of_a_file_needs_no_known_ending(name: str) -> None:
    assert read(json.dumps(JUPYTER), name).conversation.turns


def test_of_several_one_is_chosen() -> None:
    document = json.dumps([CHATGPT, {**CHATGPT, "title": "Means"}, {"title": "Empty", "mapping": {}}])
    with pytest.raises(FormatError, match=r"2 conversations: 1 Medians · 2 Means\..*--number"):
        read(document, "conversations.json")
    assert read(document, "conversations.json", 2).conversation.title == "Means"


@pytest.mark.parametrize(
    "document", ['{"what": 1}', '[{"what": 1}]', "{}", '{"mapping": 1}', '{"chat": {"history": 1}}']
)
def test_what_is_unknown_is_told_what_is_accepted(document: str) -> None:
    with pytest.raises(FormatError, match="OpenAI's and Anthropic's messages, and exports of ChatGPT, Claude"):
        read(document, "a.json")


def test_an_archive_is_to_be_unpacked() -> None:
    with pytest.raises(FormatError, match="Unpack it"):
        read(b"PK\x03\x04", "export.zip")


def test_a_tree_that_bites_its_tail_ends() -> None:
    nodes = {"a": node("b", "assistant", "A."), "b": node("a", "user", "B?")}
    (turn,) = read(json.dumps({"mapping": nodes, "current_node": "a"}), "a.json").conversation.turns
    assert (turn.current.prompt, turn.current.text) == ("B?", "A.")


def test_long_conversations_are_read_in_time_with_their_length() -> None:
    def seconds(count: int) -> float:
        nodes = {str(at): node(str(at - 1), "assistant" if at % 2 else "user", "word " * 9) for at in range(count)}
        children: list[dict[str, Any]] = []
        for at in range(100):
            children = [
                {"messageId": str(at), "isCreatedByUser": True, "text": "a", "children": []}
                for _ in range(count // 100)
            ]
        started = time.thread_time()
        read(json.dumps({"mapping": nodes, "current_node": str(count - 1)}), "a.json")
        read(json.dumps({"messages": children}), "a.json")
        return time.thread_time() - started

    assert seconds(8000) < 9 * max(seconds(2000), 0.02)
