"""What keys look like: the beginnings that services give theirs, and what stands around a secret that has none.

The table was written after the rules of gitleaks and of detect-secrets, and after the services' documentation. Every
pattern is matched at one place only, and none of it can be matched in two ways, so that the work grows with the text.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_W: Final = "[A-Za-z0-9]"
_B: Final = "[A-Za-z0-9_-]"
_H: Final = "[0-9a-fA-F]"
_S: Final = "[A-Za-z0-9+/=_-]"

_GITLAB: Final = ("glpat", "gldt", "glrt", "glcbt", "glptt", "glft", "glsoat", "gloas", "glffct")
# Whose it is, what it begins with, and what follows. Longer beginnings come first.
_TABLE: Final[tuple[tuple[str, str, str], ...]] = (
    ("Anthropic", "sk-ant-", rf"{_B}{{20,}}"),
    ("OpenAI", "sk-", rf"(?!ant-){_B}{{20,}}"),
    ("OpenAI", "sess-", rf"{_W}{{40,}}"),
    ("xAI", "xai-", rf"{_W}{{40,}}"),
    ("Perplexity", "pplx-", rf"{_W}{{40,}}"),
    ("Groq", "gsk_", rf"{_W}{{40,}}"),
    ("Replicate", "r8_", rf"{_W}{{30,}}"),
    ("Hugging Face", "hf_", rf"{_W}{{30,}}"),
    ("Hugging Face", "api_org_", rf"{_W}{{30,}}"),
    ("Fireworks", "fw_", rf"{_W}{{20,}}"),
    ("NVIDIA", "nvapi-", rf"{_B}{{60,}}"),
    ("Together", "tgp_v1_", rf"{_B}{{40,}}"),
    ("Tavily", "tvly-", rf"{_B}{{20,}}"),
    ("LangSmith", "lsv2_", rf"(?:pt|sk)_{_H}{{32}}_{_H}{{10}}"),
    ("Jina", "jina_", rf"{_W}{{40,}}"),
    ("Voyage", "pa-", rf"{_B}{{40,}}"),
    ("Pinecone", "pcsk_", rf"{_B}{{40,}}"),
    ("GitHub", "github_pat_", r"[A-Za-z0-9_]{50,}"),
    *(("GitHub", f"gh{letter}_", rf"{_W}{{36,}}") for letter in "pousr"),
    *(("GitLab", f"{name}-", rf"{_B}{{20,}}") for name in _GITLAB),
    ("Bitbucket", "ATBB", rf"{_W}{{28,}}"),
    ("Atlassian", "ATATT3", rf"{_S}{{100,}}"),
    *(("AWS", name, r"[A-Z0-9]{16}(?![A-Za-z0-9_-])") for name in ("AKIA", "ASIA", "ABIA", "ACCA")),
    *(("AWS", name, rf"{_S}{{80,}}") for name in ("IQoJb3JpZ2lu", "FwoGZXIvYXdz", "FQoGZXIvYXdz", "ABSK")),
    ("Google", "AIza", rf"{_B}{{35}}(?![A-Za-z0-9_-])"),
    ("Google", "ya29.", rf"{_B}{{20,}}"),
    ("Google", "GOCSPX-", rf"{_B}{{20,}}"),
    ("Google", "1//0", rf"{_B}{{40,}}"),
    ("Azure", "AccountKey=", r"[A-Za-z0-9+/=]{40,}"),
    ("Azure", "SharedAccessKey=", r"[A-Za-z0-9+/=]{40,}"),
    ("Azure", "sig=", r"(?:[A-Za-z0-9+/=]|%[0-9a-fA-F]{2}){43,}"),
    ("Cloudflare", "v1.0-", rf"{_H}{{24}}-{_H}{{40,}}"),
    *(("DigitalOcean", f"do{letter}_v1_", rf"{_H}{{40,}}") for letter in "por"),
    ("Heroku", "HRKU-", rf"{_B}{{40,}}"),
    ("Fly", "fo1_", rf"{_B}{{40,}}"),
    *(("Fly", f"fm{kind}_", r"[A-Za-z0-9+/=_-]{80,}") for kind in ("1a", "1r", "2")),
    ("Vercel", "vcp_", rf"{_W}{{20,}}"),
    ("Netlify", "nfp_", rf"{_W}{{30,}}"),
    ("Supabase", "sbp_", rf"{_H}{{40}}"),
    ("Supabase", "sb_secret_", rf"{_B}{{20,}}"),
    *(("HashiCorp", name, rf"{_B}{{24,}}") for name in ("hvs.", "hvb.", "hvr.")),
    ("Pulumi", "pul-", rf"{_H}{{40}}"),
    ("Doppler", "dp.pt.", rf"{_W}{{40,}}"),
    ("1Password", "ops_eyJ", r"[A-Za-z0-9+/=_-]{80,}"),
    ("Databricks", "dapi", rf"{_H}{{32}}(?:-\d)?(?![A-Za-z0-9])"),
    ("Databricks", "dose", rf"{_H}{{32}}(?![A-Za-z0-9])"),
    *(("PlanetScale", f"pscale_{kind}_", r"[A-Za-z0-9_.=-]{32,}") for kind in ("tkn", "oauth", "pw")),
    ("Prefect", "pnu_", rf"{_W}{{36}}"),
    ("Grafana", "glc_", r"[A-Za-z0-9+/=]{32,}"),
    ("Grafana", "glsa_", rf"{_W}{{32}}_{_H}{{8}}"),
    ("Sentry", "sntrys_", rf"{_S}{{40,}}"),
    ("Sentry", "sntryu_", rf"{_H}{{64}}"),
    *(("New Relic", f"NR{kind}-", r"[A-Za-z0-9-]{19,}") for kind in ("AK", "JS", "II")),
    ("Dynatrace", "dt0c01.", rf"{_W}{{24}}\.{_W}{{64}}"),
    ("Postman", "PMAK-", rf"{_H}{{24}}-{_H}{{34}}"),
    ("Linear", "lin_api_", rf"{_W}{{40}}"),
    ("Notion", "ntn_", rf"{_W}{{40,}}"),
    ("Airtable", "pat", rf"{_W}{{14}}\.{_H}{{64}}"),
    ("Figma", "figd_", rf"{_B}{{40,}}"),
    ("Asana", "2/", r"\d{10,20}/\d{10,20}:[0-9a-f]{32}"),
    ("Shopify", "shp", rf"(?:at|ca|pa|ss)_{_H}{{32}}"),
    ("Square", "sq0", rf"(?:atp|csp|idp)-{_B}{{22,}}"),
    ("Square", "EAAA", rf"{_B}{{56,}}"),
    ("Facebook", "EAA", rf"{_W}{{90,}}"),
    *(("Stripe", f"{kind}_{mode}_", rf"{_W}{{16,}}") for kind in ("sk", "rk") for mode in ("live", "test")),
    ("Stripe", "whsec_", r"[A-Za-z0-9+/=]{24,}"),
    ("PayPal", "access_token$production$", r"[a-z0-9]{16}\$[0-9a-f]{32}"),
    *(("Slack", f"xox{letter}-", r"[A-Za-z0-9-]{10,}") for letter in "abeoprsc"),
    ("Slack", "xoxe.xox", r"[A-Za-z0-9.-]{20,}"),
    ("Slack", "xapp-", r"\d-[A-Z0-9]+-\d+-[A-Za-z0-9]{20,}"),
    ("Slack", "hooks.slack.com/services/", r"T\w+/B\w+/\w{20,}"),
    ("Discord", "discord.com/api/webhooks/", rf"\d{{15,20}}/{_B}{{50,}}"),
    ("Twilio", "SK", r"[0-9a-f]{32}(?![A-Za-z0-9])"),
    ("SendGrid", "SG.", rf"{_B}{{22}}\.{_B}{{43}}"),
    ("Brevo", "xkeysib-", rf"{_H}{{64}}-{_W}{{16}}"),
    ("Mailgun", "key-", r"[0-9a-f]{32}(?![A-Za-z0-9])"),
    ("npm", "npm_", rf"{_W}{{36}}(?![A-Za-z0-9_-])"),
    ("PyPI", "pypi-", rf"{_B}{{60,}}"),
    ("RubyGems", "rubygems_", rf"{_H}{{48}}"),
    ("crates.io", "cio", rf"{_W}{{32}}(?![A-Za-z0-9])"),
    ("Docker", "dckr_pat_", rf"{_B}{{24,}}"),
    ("Docker", "dckr_oat_", rf"{_B}{{24,}}"),
    ("Artifactory", "AKCp", rf"{_W}{{60,}}"),
    ("Artifactory", "cmVmdGtu", rf"{_W}{{50,}}"),
    ("OpenShift", "sha256~", rf"{_B}{{43}}"),
    ("Alibaba", "LTAI", rf"{_W}{{16,24}}(?![A-Za-z0-9])"),
    ("Tencent", "AKID", rf"{_W}{{28,}}"),
    ("Yandex", "AQVN", rf"{_B}{{35,}}"),
    ("Yandex", "y0_", rf"{_B}{{50,}}"),
    ("Mapbox", "sk.eyJ", rf"{_B}{{40,}}\.{_B}{{20,}}"),
    ("age", "AGE-SECRET-KEY-1", r"[A-Z0-9]{50,}"),
    ("JWT", "eyJ", rf"{_B}{{10,}}\.eyJ{_B}{{10,}}\.{_B}{{10,}}"),
)  # fmt: skip


class Form(NamedTuple):
    """A form of keys: whose, and what follows the beginning."""

    kind: str
    rest: re.Pattern[str]


_FORMS: Final[dict[str, Form]] = {beginning: Form(kind, re.compile(rest)) for kind, beginning, rest in _TABLE}
_BEGINNING: Final = re.compile("|".join(sorted(map(re.escape, _FORMS), key=len, reverse=True)))
_JOINED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
"""After these no key begins."""
_NUMBERED: Final = re.compile(
    r"(?<![\w-])(?:(?P<telegram>\d{8,10}:AA[\w-]{25,})|(?P<discord>[MNO][\w-]{23,25}\.[\w-]{6}\.[\w-]{27,}))", re.ASCII
)
_WITHIN: Final = (
    ("Azure", "JQQJ99", re.compile(rf"(?<!{_W}){_W}{{52}}JQQJ99{_W}{{26}}(?!{_W})"), 52),
    ("Azure", "AZDO", re.compile(rf"(?<!{_W}){_W}{{76}}AZDO{_W}{{4}}(?!{_W})"), 76),
    ("Azure", "Q~", re.compile(r"(?<![\w~.-])[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,34}(?![\w~-])", re.ASCII), 4),
    ("HashiCorp", ".atlasv1.", re.compile(rf"(?<!{_W}){_W}{{14}}\.atlasv1\.{_B}{{60,}}"), 14),
)
"""Keys that are known by what stands in them, and after how many characters it does."""
_LONG_WORD: Final = re.compile(r"[A-Za-z0-9+/=_-]+")
_AZURE_LENGTH: Final = 84


def prefixed(words: str) -> Iterator[tuple[str, int, int]]:
    """Yield the keys of known forms in `words`: whose, from where, and up to where."""
    at = 0
    while found := _BEGINNING.search(words, at):
        start, at = found.start(), found.start() + 1
        if start and words[start - 1] in _JOINED:
            continue
        beginning = found[0]
        while beginning:
            form = _FORMS.get(beginning)
            rest = form.rest.match(words, start + len(beginning)) if form else None
            if form and rest:
                yield form.kind, start, rest.end()
                at = rest.end()
                break
            beginning = beginning[:-1]


def numbered(words: str) -> Iterator[tuple[str, int, int]]:
    """Yield the keys in `words` that are known by what stands in them."""
    for found in _NUMBERED.finditer(words):
        yield str(found.lastgroup).capitalize(), found.start(), found.end()
    for kind, mark, pattern, before in _WITHIN:
        at = words.find(mark)
        while at >= 0:
            if at >= before and (inner := pattern.match(words, at - before)):
                yield kind, at - before, inner.end()
            at = words.find(mark, at + 1)
    for word in _LONG_WORD.finditer(words):
        if len(word[0]) == _AZURE_LENGTH and word[0].isalnum() and is_random(word[0]):
            yield "Azure", word.start(), word.end()


# --- private keys --------------------------------------------------------------------------------------------------

_PRIVATE: Final = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-\d:")
_PRIVATE_END: Final = re.compile(r"-----END [A-Z0-9 ]{1,80}-----|Private-MAC: ?\w{1,128}")
_LONGEST_PRIVATE: Final = 20_000
_BODY: Final = re.compile(r"[A-Za-z0-9+/=]{32}")


def private_keys(words: str) -> Iterator[tuple[str, int, int]]:
    """Yield the private keys in `words`, not the marks alone."""
    at = 0
    while found := _PRIVATE.search(words, at):
        at = found.end()
        following = _PRIVATE.search(words, at, at + _LONGEST_PRIVATE)
        limit = following.start() if following else min(len(words), at + _LONGEST_PRIVATE)
        closed = _PRIVATE_END.search(words, at, limit)
        bodies = list(_BODY.finditer(words, at, closed.start() if closed else limit))
        if bodies:
            at = closed.end() if closed else bodies[-1].end()
            yield "private key", found.start(), at


# --- secrets by what stands around them ----------------------------------------------------------------------------

_ADDRESS: Final = re.compile(
    r"://(?P<user>[^\s:/@'\"<>`]{0,100}):(?P<secret>[^\s/'\"<>`]{3,200})@(?P<host>[A-Za-z0-9\[.-]{1,100})"
)
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{1,20}\Z")
_NAMES: Final = (
    r"pass(?:word|wd|phrase)|pwd|secret(?:[_-]?(?:access|api|app|client))?(?:[_-]?key)?|(?:auth|access|session|api|bot|bearer|"
    r"refresh|id)?[_-]?token|(?:api|access|auth|private|account|encryption|signing|master|secret|storage)[_-]?key|credentials?"
)
_ASSIGNED: Final = re.compile(
    rf"(?:{_NAMES})s?(?P<after>[_-][\w-]{{0,20}})?"
    r"(?:[\"'`]?\]?[ \t]{0,3}(?:=>|:=|=|:)[ \t]{0,3}|\",[ \t]{0,3}(?=\"))(?P<quote>[\"'`]?)"
    r"(?P<secret>[^\s\"'`<>,;]{8,300})",
    re.IGNORECASE | re.ASCII,
)
_VARIABLE: Final = re.compile(
    r"(?:^[ \t]{0,8}(?:set |ENV |- |\$env:)?[ \t]{0,4}|(?<!\w)(?:export|-e|--env)[ \t=]{1,4})"
    r"(?P<name>[A-Z][A-Z0-9_]{0,60})[ \t]{0,2}[=:][ \t]{0,2}"
    r"(?P<quote>[\"']?)(?P<secret>[^\n\"']{6,300})",
    re.MULTILINE | re.ASCII,
)
_BEARER: Final = re.compile(r"\bbearer[ \t]{1,4}(?P<secret>[A-Za-z0-9._~+/=-]{16,})", re.IGNORECASE | re.ASCII)
_BASIC: Final = re.compile(
    r"\bauthorization[\"']?[:= \t\"']{1,6}basic[ \t]{1,4}(?P<secret>[A-Za-z0-9+/]{8,}={0,2})", re.IGNORECASE | re.ASCII
)
_HEADER: Final = re.compile(
    r"\b(?:x-api-key|x-auth-token|private-token|x-goog-api-key|api-key)[\"']?[:= \t\"']{1,6}"
    r"(?P<secret>[A-Za-z0-9._~+/=-]{16,})",
    re.IGNORECASE | re.ASCII,
)
_CONNECTION: Final = re.compile(
    r"(?<![\w-])(?:password|pwd)[ \t]{0,2}=[ \t]{0,2}[\"']?(?P<secret>[^\s;\"']{4,200})", re.IGNORECASE | re.ASCII
)
_CONNECTED: Final = re.compile(
    r"(?:server|data source|host|user id|uid|dbname|database|initial catalog)[ \t]{0,2}=", re.IGNORECASE | re.ASCII
)
_LOGIN: Final = re.compile(
    r"\blogin[ \t\n]{1,8}\S{1,100}[ \t\n]{1,8}password[ \t\n]{1,8}(?P<secret>\S{5,200})", re.IGNORECASE | re.ASCII
)
_CURL: Final = re.compile(
    r"\bcurl\b[^\n]{0,120}?[ \t](?:-u|--user)[ =]{1,3}[\"']?[^\s:\"']{1,100}:(?P<secret>[^\s\"']{5,200})", re.ASCII
)
_AROUND: Final = 200
_LEAST_RANDOM: Final = 16
_LEAST_CHANGES: Final = 4

_COMMON: Final = frozenset(
    """
    password passwd pass pwd secret postgres postgresql mysql mariadb root admin administrator user username guest test
    testing tester demo dev development local localhost example changeme change-me changeit changethis letmein default
    redis rabbit rabbitmq mongo mongodb minio minioadmin docker app db neo4j oracle sa toor qwerty ollama lm-studio
    lmstudio none null nil empty dummy fake foo bar baz foobar hunter2 pw token key api_key apikey api-key no-key
    not-needed no-key-required sk-no-key-required token-abc123 sk-1234 vllm llama llamacpp llama.cpp openai anthropic
    """.split()  # noqa: SIM905 - a hundred quotation marks would not be read
)
"""Words that stand for a secret where none is needed, as documentation writes them."""
_TEMPLATE: Final = re.compile(
    r"\$\{|\$\(|^\$|\{\{|\{[A-Za-z_.]{1,60}\}|^<|^%|\(|\[|^(?:None|null|true|false)$|^[*•x]+$"
)
PLACEHOLDER: Final = re.compile(
    r"x{4}|\*{3}|\.{3}|…|example|sample|dummy|placeholder|redacted|changeme|change[-_]me|your[-_ ]"
    r"|my[-_]?(?:secret|key|pass|token)|insert[-_ ]|<|\$\{|\{\{",
    re.IGNORECASE | re.ASCII,
)


def addresses(words: str) -> Iterator[tuple[str, int, int]]:
    """Yield the URLs in `words` that hold a password."""
    for found in _ADDRESS.finditer(words):
        scheme = _SCHEME.search(words, max(0, found.start() - 21), found.start())
        secret, user, host = found["secret"], found["user"], found["host"].lower()
        if (
            scheme is None
            or is_common(secret)
            or secret == user
            or PLACEHOLDER.search(secret)
            or _TEMPLATE.search(secret)
        ):
            continue
        if secret.isdigit() and len(secret) < 6 and not user:  # noqa: PLR2004 - a port
            continue
        if host in {"localhost", "127.0.0.1", "host", "db"} and secret.isalpha() and len(secret) < 10:  # noqa: PLR2004
            continue
        yield "password in a URL", scheme.start(), found.end()


def assigned(words: str) -> Iterator[tuple[str, int, int]]:
    """Yield what is given a name that secrets have, sent in a header, or stands in a connection string."""
    small = words.lower()
    for pattern, kind, is_secret, marks in _AROUND_SECRETS:
        if any(mark in small for mark in marks):
            for found in pattern.finditer(words):
                secret = found["secret"].rstrip()
                if is_secret(found, secret) and not is_template(secret):
                    yield kind, found.start("secret"), found.start("secret") + len(secret)


def _is_variable(found: re.Match[str], secret: str) -> bool:
    if not found["quote"]:
        secret = secret.partition(" #")[0].rstrip()
    return names_a_secret(found["name"]) and is_telling(secret)


def _is_connected(found: re.Match[str], _secret: str) -> bool:
    words = found.string
    return _CONNECTED.search(words, max(0, found.start() - _AROUND), found.end() + _AROUND) is not None


_NAMED: Final = ("key", "token", "secret", "pass", "pwd", "cred", "_pat")
_AROUND_SECRETS: Final[
    tuple[tuple[re.Pattern[str], str, Callable[[re.Match[str], str], bool], tuple[str, ...]], ...]
] = (
    (_ASSIGNED, "secret", lambda _, secret: is_random(secret), _NAMED),
    (_VARIABLE, "secret", _is_variable, _NAMED),
    (_BEARER, "secret", lambda _, secret: is_telling(secret), ("bearer",)),
    (_HEADER, "secret", lambda _, secret: is_telling(secret), ("api-key", "token")),
    (_BASIC, "secret", lambda *_: True, ("basic",)),
    (_LOGIN, "secret", lambda *_: True, ("login",)),
    (_CURL, "secret", lambda *_: True, ("curl",)),
    (_CONNECTION, "password in a connection string", _is_connected, ("password", "pwd")),
)
"""What is around a secret, what it is called, what tells it, and a word without which there is none."""


def is_common(secret: str) -> bool:
    """Tell whether a value stands for a secret where none is needed."""
    return secret.lower() in _COMMON


def is_template(secret: str) -> bool:
    """Tell whether a value is to be replaced by one, or is taken from somewhere."""
    return is_common(secret) or bool(PLACEHOLDER.search(secret) or _TEMPLATE.search(secret))


def is_telling(secret: str) -> bool:
    """Tell whether a value that is called a secret can be one: of letters and others, and no path, number or name."""
    if len(secret) < 8 or " " in secret or is_path(secret) or secret.startswith(("http://", "https://")):  # noqa: PLR2004
        return False
    letters = sum(character.isalpha() for character in secret)
    return 0 < letters < len(secret) and any(c.isdigit() or not (c.isalnum() or c in "_.-:") for c in secret)


def is_random(secret: str) -> bool:
    """Tell whether a value looks drawn by lot: long, with digits among the letters in many places."""
    if len(secret) < _LEAST_RANDOM or not any(character.isdigit() for character in secret):
        return False
    kinds = [2 if c.isdigit() else c.isupper() for c in secret if c.isalnum()]
    changes = sum(before != after for before, after in pairwise(kinds))
    return changes >= _LEAST_CHANGES and len(set(secret)) >= 8  # noqa: PLR2004


_KEY_NAME: Final = re.compile(
    r"(?:^|_)(?:[A-Z0-9]{0,30}?(?:PASSWORD|PASSWD|PASSPHRASE|APIKEY|SECRETKEY|ACCESSKEY|PRIVATEKEY|AUTHKEY|SECRET|TOKEN"
    r"|CREDENTIAL)S?|KEYS?|PWDS?|PASS|PATS?|CREDS)(?:_|\d*$)",
    re.IGNORECASE | re.ASCII,
)
_NO_SECRET: Final = re.compile(
    r"^(?:OLD)?PWD$|(?:_|^)(?:FILE|PATH|DIR|DIRECTORY|ID|NAME|URL|HOST|LIMIT|COUNT|LENGTH|SIZE|TTL|TIMEOUT|TYPE)$|^(?:MAX|NUM|MIN|N)_",
    re.IGNORECASE | re.ASCII,
)
_PATH: Final = re.compile(r"(?:~|\.{1,2}|[A-Za-z]:)?(?:[/\\][\w.@+ -]{1,80}){1,40}[/\\]?")
_SEGMENT: Final = 20


def names_a_secret(variable: str) -> bool:
    """Tell whether a variable is called a key, a token or a password."""
    return _KEY_NAME.search(variable) is not None and not _NO_SECRET.search(variable)


def is_path(value: str) -> bool:
    """Tell whether `value` is the path of a file, and not a secret with slashes."""
    if not _PATH.fullmatch(value):
        return False
    parts = re.split(r"[/\\]", value)
    return not any(is_random(part) or len(part) > _SEGMENT for part in parts) and not is_random(value)
