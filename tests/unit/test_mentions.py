"""Where a prompt names something with ``@``, and where an ``@`` is only an ``@``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatanywhere_magic.context import resolve
from chatanywhere_magic.core.errors import ConfigurationError

KNOWN = {"df": 1, "d": {"key": 2, "a b": 3}, "xs": [4, 5], "销量": 6, "таблица": 7, "types": 8, "app": 9, "_": 10}

NAMED = [
    ("Explain @df", ["@df"]),
    ("@df", ["@df"]),
    ("(@df), [@xs] and “@d”", ["@df", "@xs", "@d"]),
    ("What is @df?", ["@df"]),
    ("Explain @df. Then stop.", ["@df"]),
    ("@df's columns", ["@df"]),
    ("x=@df", ["@df"]),
    ("new\n@df\nline", ["@df"]),
    ("@df and @df again", ["@df"]),
    ("@d[\"key\"] and @d['a b'].", ['@d["key"]', "@d['a b']"]),
    ("@xs[1] - @xs[-1]", ["@xs[1]", "@xs[-1]"]),
    ("@xs[i] and @df[0:10]", ["@xs", "@df"]),
    ("@_ and @_.", ["@_"]),
    # Chinese is written without spaces; a full stop of its own ends a name as any other.
    ("请解释@df的列。", ["@df"]),
    ("@销量的平均值是多少？", ["@销量"]),
    ("比较@销量。", ["@销量"]),
    ("@销量，@df：", ["@销量", "@df"]),
    ("Что в @таблица? И в @df.", ["@таблица", "@df"]),
]

TEXT = [
    "write to me@example.com or я@почта.рф",
    "git@github.com:user/repo.git",
    "npm install @types/node @angular/core",
    "@ alone, a @ b, @1 and @2x",
    "@user@example.social",
    "https://medium.com/@df/post?u=@df",
    "postgres://df:@df/base",
    "`@df` and ``a ` @df``",
    "```python\n@df\n```",
    "~~~\n@nobody\n~~~\n",
    "```\n@df never closed",
    "Why does it fail?\n@app\ndef f(): ...",
    "class A:\n    @property\n    @app.route('/')\n    async def f(self): ...",
    "@dataclass\nclass A: ...",
    "50 %@df and a/@df and a.@df",
    r"me\@example.com",
    r"\\@df",
    r"\@ and \@1",
]


def names_of(prompt: str) -> list[str]:
    return [each.name for each in resolve(prompt, KNOWN).attachments]


@pytest.mark.parametrize(("prompt", "names"), NAMED)
def test_names(prompt: str, names: list[str]) -> None:
    assert names_of(prompt) == names
    assert resolve(prompt, KNOWN).prompt == prompt


@pytest.mark.parametrize("prompt", TEXT)
def test_an_at_that_is_text(prompt: str) -> None:
    context = resolve(prompt, KNOWN)
    assert context.prompt == prompt
    assert context.attachments == ()


@pytest.mark.parametrize(
    ("prompt", "sent"),
    [
        (r"\@df", "@df"),
        (r"\@nobody and (\@df)", "@nobody and (@df)"),
        (r"请看\@df的列", "请看@df的列"),
        (r"`\@df` stays", r"`\@df` stays"),
    ],
)
def test_a_backslash_makes_it_text(prompt: str, sent: str) -> None:
    context = resolve(prompt, KNOWN)
    assert context.prompt == sent
    assert context.attachments == ()


@given(st.text(st.characters() | st.sampled_from("@@@\\`df.[]\"'/ \n")))
def test_any_prompt_stays_as_typed_or_is_refused(prompt: str) -> None:
    """It is sent as it is but for backslashes before an ``@``; nothing that names something unknown is passed over."""
    try:
        context = resolve(prompt, {"df": 1})
    except ConfigurationError:
        assert "@" in prompt
        return
    assert context.prompt.replace(r"\@", "@") == prompt.replace(r"\@", "@")
    assert all(each.name == "@df" for each in context.attachments)
    if "@df" not in prompt:
        assert context.attachments == ()


@given(st.text(st.characters(exclude_characters="@")))
def test_without_an_at_nothing_is_looked_up(prompt: str) -> None:
    assert resolve(prompt, KNOWN).prompt == prompt


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("@dg", "There is no variable @dg. Did you mean d? For a literal @, write \\@dg"),
        ("@tipes", "Did you mean types?"),
        ("@Df的列", "There is no variable @Df."),
        ("ask @guido", "There is no variable @guido. For a literal @"),
        ("@errror", "Did you mean error?"),
        ("@d['keyy']", "@d has no ['keyy']. Did you mean key?"),
        ("@xs[7]", "@xs has no [7]."),
        ("@df.real.denominator", "@df.real is computed by code"),
        ("@df.nothing", "@df has no .nothing."),
        ("@xs.append(3)", "@xs.append(…) would run code"),
        ("read @url:https://example.com", "Web pages are never fetched."),
        ("read @https://example.com", "Web pages are never fetched."),
        ("@url", "Web pages are never fetched."),
        ("@error", "There is no error"),
        ("@cell", "No executed cell matches @cell."),
        ("@cell[-2]", "No executed cell matches @cell[-2]."),
    ],
)
def test_what_cannot_be_named_is_an_error_that_says_what_to_do(prompt: str, says: str) -> None:
    known = {name: value for name, value in KNOWN.items() if name != "df"} | {"df": 5}
    if prompt.startswith("@dg"):
        known.pop("df")
    with pytest.raises(ConfigurationError) as caught:
        resolve(prompt, known)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_variables_of_ones_own_come_before_special_names() -> None:
    (attachment,) = resolve("@error", {"error": "mine"}).attachments
    assert "mine" in attachment.text


def test_a_function_may_be_followed_by_brackets() -> None:
    assert resolve("What does @f(3) return?", {"f": len}).attachments[0].name == "@f"
    assert resolve("And @math.floor(3.5)?", {"math": __import__("math")}).attachments[0].name == "@math.floor"
