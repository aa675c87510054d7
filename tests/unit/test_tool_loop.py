"""Functions that the model calls: where they run, who is asked, what the model reads, and how it ends."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from chatanywhere_magic import ChatInterrupted, ChatSession, Script, Scripted
from chatanywhere_magic.core.errors import (
    ApprovalError,
    ConfigurationError,
    IncompleteError,
    NotRecordedError,
    ToolCallError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from chatanywhere_magic.core.messages import MessageDict
    from chatanywhere_magic.session.approval import Approval, Approvals
    from chatanywhere_magic.session.live_turn import LiveTurn

KEY = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8"


class Person:
    """A person who sits at the program, with answers ready."""

    can_ask = True

    def __init__(self, *answers: Any) -> None:
        self.answers = deque(answers)
        self.asked: list[Approval] = []

    def ask(self, approval: Approval, approvals: Approvals, live: LiveTurn) -> None:
        self.asked.append(approval)
        answer = self.answers.popleft()
        if answer == "stop":
            live.cancel()
            approval.decided.result(timeout=10)
            return
        word, _, reason = answer.partition(" ")
        approvals.answer(approval.id, word, reason)


@pytest.fixture
def chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatSession]:
    monkeypatch.setenv("CHATANYWHERE_DATA_DIR", str(tmp_path / "data"))
    session = ChatSession()
    session.conversations.keep()
    session.tools.host = None
    yield session
    session.close()


def model(chat: ChatSession, *scripts: Script | str) -> type[Scripted]:
    """Have the session ask a model that says this."""
    provider = Scripted.of(*scripts)
    chat.settings.provider = provider
    return provider


def calls(*wanted: tuple[str, Any], text: str = "") -> Script:
    return Script(text, calls=wanted)


def results(provider: type[Scripted], request: int = -1) -> list[str]:
    """Return what the model was told of its calls."""
    return [str(each["content"]) for each in provider.requests[request] if each["role"] == "tool"]


def roles(messages: list[MessageDict]) -> list[str]:
    return [each["role"] for each in messages]


class TestACall:
    def test_it_is_run_and_the_model_is_asked_again(self, chat: ChatSession) -> None:
        @chat.tool(approval="never")
        def add(a: int, b: int) -> int:
            """Add two numbers."""
            return a + b

        provider = model(chat, calls(("add", {"a": 2, "b": 3}), text="Let me see."), "It is 5.")
        reply = chat.ask_sync("2 + 3?")
        assert reply == "Let me see.\n\nIt is 5."
        assert roles(reply.messages) == ["user", "assistant", "tool", "assistant"]
        assert results(provider) == ["5"]
        assert len(provider.requests) == 2
        version = chat.conversation.turns[0].current
        assert (version.status, version.text) == ("complete", str(reply))

    def test_several_have_their_results_in_order(self, chat: ChatSession) -> None:
        first_may_end = threading.Event()

        @chat.tool(approval="never", thread_safe=True)
        def slow() -> str:
            """Wait."""
            return "slow" if first_may_end.wait(10) else "late"

        @chat.tool(approval="never")
        async def quick() -> str:
            """Do not wait."""
            first_may_end.set()
            return "quick"

        provider = model(chat, calls(("slow", {}), ("quick", {})), "Done.")
        assert chat.ask_sync("Go") == "Done."
        assert results(provider) == ["slow", "quick"]

    def test_what_is_thread_safe_runs_at_the_same_time(self, chat: ChatSession) -> None:
        both = threading.Barrier(2)

        @chat.tool(approval="never", thread_safe=True)
        def meet() -> int:
            """Meet the other."""
            return both.wait(10)

        provider = model(chat, calls(("meet", {}), ("meet", {})), "Done.")
        chat.ask_sync("Go")
        assert sorted(results(provider)) == ["0", "1"]

    def test_everything_else_runs_one_after_the_other_on_the_thread_that_waits(self, chat: ChatSession) -> None:
        seen: list[tuple[str, int]] = []

        @chat.tool(approval="never")
        def look(number: int) -> None:
            """Look."""
            seen.append((threading.current_thread().name, number))

        model(chat, calls(("look", {"number": 1}), ("look", {"number": 2})), "Done.")
        chat.ask_sync("Go")
        assert seen == [(threading.main_thread().name, 1), (threading.main_thread().name, 2)]

    def test_it_runs_where_it_is_awaited(self, chat: ChatSession) -> None:
        seen: list[threading.Thread] = []

        @chat.tool(approval="never")
        def look() -> None:
            """Look."""
            seen.append(threading.current_thread())

        async def stream() -> str:
            return "".join([piece async for piece in chat.stream("Go")])

        model(chat, calls(("look", {})), "Done.", calls(("look", {})), "Again.")
        assert asyncio.run(chat.ask("Go")) == "Done."
        assert asyncio.run(stream()) == "Again."
        assert seen == [threading.main_thread()] * 2

    def test_without_anybody_who_waits_it_waits(self, chat: ChatSession) -> None:
        ran = threading.Event()

        @chat.tool(approval="never")
        def look() -> None:
            """Look."""
            ran.set()

        model(chat, calls(("look", {})), "Done.")
        live = chat.prepare("Go")
        blocked = threading.Event()
        live.listen(lambda live: blocked.set() if [each.state for each in live.calls] == ["blocked"] else None)
        chat.start(live)
        assert blocked.wait(10)
        assert not ran.wait(0.2)
        live.wait()
        assert ran.is_set()
        assert live.reply() == "Done."

    def test_it_may_ask_the_model_itself(self, chat: ChatSession) -> None:
        @chat.tool(approval="never")
        def sum_up(words: str) -> str:
            """Sum up."""
            return str(chat.ask_sync(f"Sum up: {words}", tools=[]))

        provider = model(chat, calls(("sum_up", {"words": "a b c"})), "abc", "Done.")
        assert chat.ask_sync("Go") == "Done."
        assert results(provider) == ["abc"]
        assert len(chat.conversation.turns) == 1

    @pytest.mark.parametrize("kind", ["sync", "async"])
    def test_a_generator_shows_its_progress_and_its_last_value_is_the_result(
        self, chat: ChatSession, kind: str
    ) -> None:
        if kind == "sync":

            def work() -> Any:
                """Work."""
                yield "half"
                yield "whole"

        else:

            async def work() -> Any:
                """Work."""
                yield "half"
                yield "whole"

        chat.tools.add(work, approval="never")
        provider = model(chat, calls(("work", {})), "Done.")
        live = chat.prepare("Go")
        shown: list[str] = []
        live.listen(lambda live: shown.extend(call.progress for call in live.calls))
        chat.start(live)
        live.wait()
        assert results(provider) == ["whole"]
        assert "whole" in shown

    def test_the_return_value_of_a_generator_is_its_result(self, chat: ChatSession) -> None:
        @chat.tool(approval="never")
        def work() -> Any:
            """Work."""
            yield "half"
            return 7

        provider = model(chat, calls(("work", {})), "Done.")
        chat.ask_sync("Go")
        assert results(provider) == ["7"]


class TestWhatTheModelReads:
    def test_what_a_function_prints_goes_with_its_result(
        self, chat: ChatSession, capsys: pytest.CaptureFixture[str]
    ) -> None:
        @chat.tool(approval="never")
        def shout() -> int:
            """Shout."""
            print("loud", end="\r")  # noqa: T201 - what a function shows
            print("LOUD")  # noqa: T201 - what a function shows
            return 1

        provider = model(chat, calls(("shout", {})), "Done.")
        chat.ask_sync("Go")
        assert results(provider) == ["1\n\nIt printed:\nLOUD"]
        assert "LOUD" in capsys.readouterr().out

    def test_what_others_print_meanwhile_does_not(self, chat: ChatSession) -> None:
        print_it, printed = threading.Event(), threading.Event()

        def other() -> None:
            print_it.wait(10)
            print("somebody else")  # noqa: T201 - what a function shows
            printed.set()

        threading.Thread(target=other).start()

        @chat.tool(approval="never")
        def work() -> int:
            """Work."""
            print_it.set()
            return int(printed.wait(10))

        provider = model(chat, calls(("work", {})), "Done.")
        chat.ask_sync("Go")
        assert results(provider) == ["1"] or "somebody" not in results(provider)[0]

    def test_an_exception_is_its_last_lines(self, chat: ChatSession) -> None:
        @chat.tool(approval="never")
        def divide(a: int, b: int) -> float:
            """Divide."""
            return a / b

        provider = model(chat, calls(("divide", {"a": 1, "b": 0})), "It cannot be.")
        live = chat.prepare("Go")
        chat.start(live)
        live.wait()
        (said,) = results(provider)
        assert said.startswith("It failed: ZeroDivisionError: division by zero")
        assert "return a / b" in said
        assert "chatanywhere_magic" not in live.calls[0].traceback
        assert "Traceback" in live.calls[0].traceback
        assert (live.calls[0].state, live.reply()) == ("failed", "It cannot be.")

    @pytest.mark.parametrize("raised", [StopIteration(1), SystemExit(2), GeneratorExit(), RecursionError("deep")])
    @pytest.mark.parametrize("where", ["main", "thread"])
    def test_whatever_it_raises(self, chat: ChatSession, raised: BaseException, where: str) -> None:
        @chat.tool(approval="never", thread_safe=where == "thread")
        def fail() -> None:
            """Fail."""
            raise raised

        provider = model(chat, calls(("fail", {})), "A pity.")
        assert chat.ask_sync("Go") == "A pity."
        assert results(provider)[0].startswith("It failed: ")

    def test_a_long_result_is_cut_to_the_budget(self, chat: ChatSession) -> None:
        @chat.tool(approval="never")
        def much() -> str:
            """Return much."""
            print("y" * 1_000_000)  # noqa: T201 - what a function shows
            return "x" * 10_000_000

        provider = model(chat, calls(("much", {})), "Done.")
        chat.ask_sync("Go")
        assert len(results(provider)[0]) < 64 * chat.settings.context_budget
        assert "left out" in results(provider)[0]

    def test_a_key_is_in_no_result(self, chat: ChatSession) -> None:
        @chat.tool(approval="never")
        def look() -> str:
            """Look."""
            print(KEY)  # noqa: T201 - what a function shows
            return f"token: {KEY}"

        provider = model(chat, calls(("look", {})), "Done.")
        assert chat.ask_sync("Go") == "Done."
        assert KEY not in str(provider.requests)
        assert KEY not in str(chat.conversation)
        model(chat, calls(("look", {})), "Done.")
        chat.ask_sync("Go", allow_secrets=True, history=False)
        assert KEY in str(chat.settings.provider.requests)


class TestACallThatCannotBeMade:
    @pytest.mark.parametrize(
        ("call", "told"),
        [
            (("adds", {}), 'no tool named "adds". There are: add.'),
            (("add", "{not json"), "add was not called"),
            (("add", {"a": "2"}), "add was not called"),
            (("add", "[1]"), "add was not called"),
        ],
    )
    def test_the_model_is_told_and_may_try_again(self, chat: ChatSession, call: tuple[str, Any], told: str) -> None:
        @chat.tool(approval="never")
        def add(a: int) -> int:
            """Add."""
            return a

        provider = model(chat, calls(call), calls(("add", {"a": 1})), "1.")
        assert chat.ask_sync("Go") == "1."
        assert told in results(provider)[0]
        assert results(provider)[1] == "1"

    def test_twice_in_a_row_is_the_end(self, chat: ChatSession) -> None:
        @chat.tool(approval="never")
        def add(a: int) -> int:
            """Add."""
            return a

        provider = model(
            chat, calls(("add", {})), calls(("add", {"a": 1})), calls(("b", {})), calls(("add", "{")), "No"
        )
        with pytest.raises(ToolCallError, match="add wrongly"):
            chat.ask_sync("Go")
        assert len(provider.requests) == 4
        assert chat.conversation.turns[0].current.status == "failed"


class TestWhoIsAsked:
    @pytest.fixture
    def saved(self, chat: ChatSession) -> list[str]:
        saved: list[str] = []

        @chat.tool
        def save(name: str) -> str:
            """Save."""
            saved.append(name)
            return "saved"

        return saved

    def test_the_person_once_for_each_call(self, chat: ChatSession, saved: list[str]) -> None:
        chat.tools.host = person = Person("once", "once")
        model(chat, calls(("save", {"name": "a"})), calls(("save", {"name": "a"})), "Done.")
        assert chat.ask_sync("Go") == "Done."
        assert saved == ["a", "a"]
        assert len({each.id for each in person.asked}) == 2
        assert [each.approval for each in chat.conversation.turns[0].current.messages[2].tool_results] == ["once"]

    def test_a_no_is_told_to_the_model_with_its_reason(self, chat: ChatSession, saved: list[str]) -> None:
        chat.tools.host = Person("no not there")
        provider = model(chat, calls(("save", {"name": "a"})), "Sorry.")
        assert chat.ask_sync("Go") == "Sorry."
        assert saved == []
        assert results(provider) == ["The person did not allow this call. They say: not there"]

    def test_always_is_for_the_conversation(self, chat: ChatSession, saved: list[str]) -> None:
        chat.tools.host = person = Person("always", "once")
        script = [calls(("save", {"name": "a"})), "Done."]
        model(chat, *script * 3)
        chat.ask_sync("Go")
        chat.ask_sync("Go")
        assert len(person.asked) == 1
        chat.conversations.new()
        chat.ask_sync("Go")
        assert (len(person.asked), len(saved)) == (2, 3)

    def test_nobody_can_be_asked(self, chat: ChatSession, saved: list[str]) -> None:
        model(chat, calls(("save", {"name": "a"})), "Done.")
        with pytest.raises(ApprovalError, match=r'approval="never".*chat\.tools\.allow\(save\)'):
            chat.ask_sync("Go")
        assert saved == []
        chat.tools.allow("save")
        model(chat, calls(("save", {"name": "a"})), "Done.")
        assert chat.ask_sync("Go") == "Done."
        assert saved == ["a"]

    def test_a_front_end_elsewhere_can_answer(self, chat: ChatSession, saved: list[str]) -> None:
        chat.tools.approvals.front_ends.add(self)

        def answer(approval: Approval) -> None:
            if approval.state == "waiting":
                threading.Thread(target=lambda: chat.tools.approvals.answer(approval.id, "once")).start()

        chat.tools.approvals.listen(answer)
        model(chat, calls(("save", {"name": "a"})), "Done.")
        assert chat.ask_sync("Go") == "Done."
        assert saved == ["a"]

    def test_retry_and_revise_ask_anew(self, chat: ChatSession, saved: list[str]) -> None:
        chat.tools.host = person = Person("once", "no", "no")
        script = [calls(("save", {"name": "a"})), "Done."]
        model(chat, *script * 3)
        chat.ask_sync("Go")
        for live in (chat.turns.retry(), chat.turns.revise(0, "Go, please")):
            live.attend(person)
            chat.start(live)
            live.wait()
            assert live.reply() == "Done."
        assert (len(person.asked), saved) == (3, ["a"])

    def test_replay_runs_nothing(self, chat: ChatSession, saved: list[str]) -> None:
        chat.tools.host = person = Person("once")
        provider = model(chat, calls(("save", {"name": "a"}), text="Well."), "Done.")
        reply = chat.ask_sync("Go")
        chat.conversations.new()
        again = chat.ask_sync("Go", replay="replay-only")
        assert str(again) == str(reply)
        assert roles(again.messages)[-3:] == ["assistant", "tool", "assistant"]
        assert (len(person.asked), saved, len(provider.requests)) == (1, ["a"], 2)
        with pytest.raises(NotRecordedError):
            chat.ask_sync("Go", replay="replay-only", tools=[], history=False)

    def test_what_the_person_edited_is_checked_and_run(self, chat: ChatSession, saved: list[str]) -> None:
        class Editor(Person):
            def ask(self, approval: Approval, approvals: Approvals, live: LiveTurn) -> None:  # noqa: ARG002 - the host's
                approvals.answer(approval.id, "once", arguments=self.answers.popleft())

        chat.tools.host = Editor('{"name": "mine"}', '{"name": 1}')
        provider = model(chat, calls(("save", {"name": "a"})), calls(("save", {"name": "b"})), "Done.")
        chat.ask_sync("Go")
        assert saved == ["mine"]
        assert "edited" in results(provider)[0]
        assert '{"name": "mine"}' in results(provider)[0]


class TestWhatIsOffered:
    def test_functions_of_one_prompt(self, chat: ChatSession) -> None:
        def twice(n: int) -> int:
            """Return twice the number."""
            return 2 * n

        chat.tools.add(twice, approval="never")
        chat.tools.allow(twice)
        provider = model(chat, calls(("twice", {"n": 2})), "4.", "No.")
        assert chat.ask_sync("Go", tools=[twice], history=False) == "4."
        assert chat.ask_sync("Go", tools=[], history=False) == "No."
        assert roles(provider.requests[-1]) == ["user"]

    def test_names_of_tools(self, chat: ChatSession) -> None:
        chat.tool(len_of, approval="never")
        provider = model(chat, calls(("len_of", {"text": "abc"})), "3.")
        assert chat.ask_sync("Go", tools=["len_of"]) == "3."
        assert results(provider) == ["3"]
        with pytest.raises(ConfigurationError, match="Did you mean len_of"):
            chat.ask_sync("Go", tools=["len_off"])

    def test_a_provider_without_tools_is_not_asked(self, chat: ChatSession) -> None:
        async def parrot(model: str, messages: Any) -> AsyncIterator[str]:  # noqa: ARG001 - the contract's
            yield "Hello!"

        with pytest.raises(UnsupportedError, match="parrot"):
            chat.ask_sync("Go", provider=parrot, tools=[len_of])
        assert chat.conversation.turns == ()
        chat.tools.add(len_of)
        live = chat.prepare("Go", provider=parrot)
        assert "parrot" in live.request.notice
        chat.start(live)
        live.wait()
        assert live.reply() == "Hello!"

    def test_functions_and_dictionaries_do_not_mix(self, chat: ChatSession) -> None:
        model(chat, "Hello!")
        with pytest.raises(ConfigurationError, match="not both"):
            chat.ask_sync("Go", tools=[len_of, {"type": "function", "function": {"name": "look"}}])


def len_of(text: str) -> int:
    """Return the length of a text."""
    return len(text)


class TestALimit:
    @pytest.fixture
    def ran(self, chat: ChatSession) -> list[int]:
        ran: list[int] = []

        @chat.tool(approval="never")
        def step(n: int) -> int:
            """Make a step."""
            ran.append(n)
            return n

        return ran

    def test_steps_are_limited_and_can_be_continued(self, chat: ChatSession, ran: list[int]) -> None:
        chat.settings.max_steps = 2
        provider = model(chat, *[calls(("step", {"n": n})) for n in range(3)], "Done.")
        chat.ask_sync("Go")
        version = chat.conversation.turns[0].current
        assert (version.status, version.finish_reason, ran) == ("complete", "max_steps", [0, 1])
        live = chat.turns.continue_()
        chat.start(live)
        live.wait()
        assert live.reply() == "Done."
        assert ran == [0, 1, 2]
        assert [len(turn.versions) for turn in chat.conversation.turns] == [2]
        assert roles(provider.requests[-1]) == ["user", *["assistant", "tool"] * 3]
        assert roles(live.reply().messages) == ["user", *["assistant", "tool"] * 3, "assistant"]
        with pytest.raises(ConfigurationError, match="nothing to continue"):
            chat.turns.continue_()

    def test_seconds_do_not_count_while_the_person_is_waited_for(self, chat: ChatSession, ran: list[int]) -> None:
        class Slow(Person):
            def ask(self, approval: Approval, approvals: Approvals, live: LiveTurn) -> None:
                time.sleep(2.0)
                chat.settings.max_turn_seconds = live.draft.seconds  # of which these two do not count
                super().ask(approval, approvals, live)

        chat.tools.remove("step")
        chat.tool(len_of)
        chat.tools.host = Slow("once")
        model(chat, calls(("len_of", {"text": ""})), "Done.")
        assert chat.ask_sync("Go") == "Done."
        chat.settings.max_turn_seconds = 0.0
        model(chat, calls(("len_of", {"text": ""})), "Done.")
        chat.tools.host = Person("once")
        chat.ask_sync("Go")
        assert chat.conversation.turns[-1].current.finish_reason == "max_turn_seconds"
        assert ran == []

    def test_a_turn_that_failed_between_calls_can_be_continued(self, chat: ChatSession, ran: list[int]) -> None:
        model(chat, calls(("step", {"n": 1})), Script("Half", finish_reason=""), "Whole.")
        with pytest.raises(IncompleteError):
            chat.ask_sync("Go")
        live = chat.turns.continue_()
        chat.start(live)
        live.wait()
        assert (live.reply(), ran) == ("Whole.", [1])


class TestStop:
    """At any moment: at once, once, and the next request is valid."""

    def stopped(self, chat: ChatSession, after: float = 0.0) -> float:
        """Ask, stop when the call is under way, and return how long the turn took to end after that."""
        live = chat.prepare("Go")
        begun = threading.Event()
        live.listen(lambda live: begun.set() if any(c.state in {"running", "asking"} for c in live.calls) else None)
        stopped_at: list[float] = []

        def stop() -> None:
            begun.wait(10)
            time.sleep(after)
            stopped_at.append(time.monotonic())
            live.cancel()

        threading.Thread(target=stop).start()
        live.attend(chat.tools.host)
        chat.start(live)
        live.wait()
        with pytest.raises(ChatInterrupted):
            live.reply()
        return time.monotonic() - stopped_at[0]

    def next_is_valid(self, chat: ChatSession) -> None:
        provider = model(chat, "Fine.")
        assert chat.ask_sync("And now?", tools=[]) == "Fine."
        sent = provider.requests[-1]
        assert roles(sent) == ["user", "assistant", "tool", "user"]
        assert results(provider) == ["interrupted"]

    def test_while_a_function_runs_on_the_main_thread(self, chat: ChatSession) -> None:
        interrupted: list[type[BaseException]] = []

        @chat.tool(approval="never")
        def wait() -> None:
            """Wait."""
            try:
                time.sleep(60)
            except BaseException as caught:
                interrupted.append(type(caught))
                raise

        model(chat, calls(("wait", {})), "Never.")
        assert self.stopped(chat) < 5
        assert interrupted == [KeyboardInterrupt]
        self.next_is_valid(chat)

    @pytest.mark.parametrize("kind", ["async", "thread"])
    def test_while_it_runs_elsewhere(self, chat: ChatSession, kind: str) -> None:
        over = threading.Event()

        def wait() -> None:
            """Wait."""
            over.wait(60)

        async def wait_async() -> None:
            """Wait."""
            await asyncio.sleep(60)

        if kind == "async":
            chat.tools.add(wait_async, name="wait", approval="never")
        else:
            chat.tools.add(wait, approval="never", thread_safe=True)
        model(chat, calls(("wait", {})), "Never.")
        assert self.stopped(chat) < 5
        over.set()
        self.next_is_valid(chat)

    def test_while_the_person_is_asked(self, chat: ChatSession) -> None:
        ran: list[str] = []

        @chat.tool
        def note(words: str) -> None:
            """Note."""
            ran.append(words)

        chat.tools.host = Person("stop")
        model(chat, calls(("note", {"words": "x"})), "Never.")
        with pytest.raises(ChatInterrupted):
            chat.ask_sync("Go")
        assert (ran, chat.tools.approvals.waiting) == ([], ())
        self.next_is_valid(chat)

    def test_before_the_second_of_two_calls(self, chat: ChatSession) -> None:
        @chat.tool(approval="never")
        def first() -> str:
            """Do the first."""
            return "first"

        @chat.tool(approval="never")
        def second() -> None:
            """Do the second."""
            time.sleep(60)

        model(chat, calls(("first", {}), ("second", {})), "Never.")
        live = chat.prepare("Go")
        live.listen(lambda live: live.cancel() if live.calls and live.calls[-1].state == "running" else None)
        chat.start(live)
        live.wait()
        provider = model(chat, "Fine.")
        chat.ask_sync("And now?", tools=[])
        assert results(provider) == ["first", "interrupted"]

    def test_a_function_that_interrupts_itself_stops_the_turn(self, chat: ChatSession) -> None:
        @chat.tool(approval="never")
        def give_up() -> None:
            """Give up."""
            raise KeyboardInterrupt

        model(chat, calls(("give_up", {})), "Never.")
        with pytest.raises(ChatInterrupted):
            chat.ask_sync("Go")
        self.next_is_valid(chat)

    def test_a_fork_in_the_middle_is_valid(self, chat: ChatSession) -> None:
        begun, over = threading.Event(), threading.Event()

        @chat.tool(approval="never", thread_safe=True)
        def wait() -> None:
            """Wait."""
            begun.set()
            over.wait(10)

        model(chat, calls(("wait", {})), "Never.")
        chat.start(chat.prepare("Go"))
        assert begun.wait(10)
        chat.conversations.fork()
        over.set()
        self.next_is_valid(chat)
