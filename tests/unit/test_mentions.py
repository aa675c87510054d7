"""Where a prompt names something with ``@``, and where an ``@`` is only an ``@``."""

from __future__ import annotations

import time
from contextlib import suppress

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
    "@app.get(\n    '/',\n    tags=[@app],\n)\n# a comment\n\n@types\ndef f(): ...",
    "50 %@df and a/@df and a.@df",
    r"me\@example.com",
    r"\\@df",
    r"\@ and \@1",
]


PASTED = [
    "@Input() name: string;",
    "@Input() name",
    "@Component({\n  selector: 'app-root',\n})\nexport class AppComponent {\n  @Output() changed = new E<string>();",
    "  @ViewChild('ref') ref?: ElementRef;",
    "constructor(@Inject(FOO) private foo: Foo, @Optional() bar) {}",
    "@HostListener('click', ['$event'])",
    "@Prop({ type: String }) readonly name",
    "@customElement('my-element')\nexport class MyElement extends LitElement {",
    "@override\nWidget build(BuildContext context) {",
    "@Override\npublic String toString() {\n",
    "@Override",
    "Why do I need @Override here?",
    '@Entity\n@Table(name = "users")\npublic class User {\n    @Id\n    @GeneratedValue\n    private Long id;',
    "    @Autowired private Foo foo;",
    "public void f(@PathVariable Long id, @RequestBody User user) {",
    "void f(@NonNull String name)",
    "/**\n * @param name the name\n * @return nothing\n */",
    "@Composable\nfun Greeting(name: String) {",
    "@State private var count = 0",
    "@objc func tapped() {",
    "@main\nstruct MyApp: App {",
    "@media (max-width: 600px) {",
    "@media screen and (min-width: 1px) { a { color: red; } }",
    "What does @media do?",
    '@import url("a.css");',
    "@import 'b.css'",
    "@font-face {\n  font-family: x;\n}",
    "@keyframes fade {\n  from { opacity: 0; }\n}",
    "  @include button(red);",
    "@tailwind base;",
    '@charset "utf-8";',
    '@app2.route("/")',
    '@bp.route("/") returns a 404',
    "@pytest.mark.parametrize('x', [1])",
    "How do I use @dataclass and @property?",
    '<button @click="save" @keyup.enter="save">',
    "<p>@if(ready)</p>",
    "@user = User.find(1)",
    "@total += 1",
    "${USER}@host and mail to *@example.com",
    "posts from @example.org",
    "> @Deprecated\n> public void f() {",
    "+    @Test\n+    public void f() {",
]
DEFINITE = [
    "@dff",
    "Explain @dff.",
    "@dff and @nobody",
    "ask @guido, please",
    "@guido says hello",
    "@guido van rossum",
    "Compare @df with @nobody (the big one).",
    "- @nobody\n- @guido\n",
    "@nobody\n@guido\nWhat is the difference?",
    "What is in @typs(3)?",
    "@typs.head() is empty",
    "Now that @typs; then stop;",
    "请解释@nobody的列",
    "What is @nobody's mean?",
    "@Nobody Is who?",
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


@pytest.mark.parametrize("prompt", PASTED)
def test_pasted_code_is_text(prompt: str) -> None:
    for typed in (prompt, f"Why?\n{prompt}\n", f"{prompt}\n\nand @df"):
        context = resolve(typed, KNOWN)
        assert context.prompt == typed
        assert [each.name for each in context.attachments] == ["@df"] * ("and @df" in typed)


@pytest.mark.parametrize(
    ("prompt", "known"),
    [
        ("@Input() name", "Inputs"),
        ("@media (x) {", "median"),
        ("@Override\npublic void f() {", "overrides"),
        ("@Bean;", "bean"),
    ],
)
def test_it_is_text_also_where_a_variable_has_a_similar_name(prompt: str, known: str) -> None:
    assert resolve(prompt, {known: 1}).prompt == prompt


@pytest.mark.parametrize("prompt", DEFINITE)
def test_a_definite_name_that_is_unknown_is_an_error(prompt: str) -> None:
    with pytest.raises(ConfigurationError, match="There is no variable @"):
        resolve(prompt, KNOWN)


def test_known_names_are_meant_whatever_follows() -> None:
    for prompt in ("@df = 3;", "@df {", "@df\npublic class", "See @df(3)"):
        assert names_of(prompt) == ["@df"]


@pytest.mark.parametrize("piece", ["@x(", "@x ", "\n@x", "@x\n", "@x;", "(@x, ", "@x.", "@x\n)", "@media {"])
def test_pasted_code_is_read_in_linear_time(piece: str) -> None:
    taken = []
    for size in (2_000, 16_000):
        prompt = f"@Input() a\n{piece.replace('@x', '@Input') * (size // len(piece))}{{"
        begun = time.thread_time()
        with suppress(ConfigurationError):
            resolve(prompt, {"inputs": 1})
        taken.append(time.thread_time() - begun)
    assert taken[1] < max(0.3, 24 * taken[0])


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
