"""Which texts hold a secret: forms of many services on one side, what only resembles them on the other."""

from __future__ import annotations

import base64
import hashlib
import random
import string
import time
import uuid

import pytest

from chatanywhere_magic.keys.scan import leaks_in, redacted

_DRAW = random.Random(20261201)  # noqa: S311 - the same in every run
WORD = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


def drawn(count: int, letters: str = WORD) -> str:
    """Return letters drawn by lot; among the first are some of each kind."""
    return "".join(_DRAW.choice(letters) for _ in range(count))


# Put together here, so that no scanner takes this file for a leak.
FOUND = [
    "sk" + "-" + drawn(48),
    "sk" + "-proj-" + drawn(120),
    "sk" + "-or-v1-" + drawn(64, HEX),
    "sk" + "-ant-api03-" + drawn(93),
    "sess" + "-" + drawn(40),
    "xai" + "-" + drawn(80),
    "pplx" + "-" + drawn(48),
    "gsk" + "_" + drawn(52),
    "r8" + "_" + drawn(37),
    "hf" + "_" + drawn(34),
    "nvapi" + "-" + drawn(64),
    "tgp" + "_v1_" + drawn(43),
    "lsv2" + "_pt_" + drawn(32, HEX) + "_" + drawn(10, HEX),
    "jina" + "_" + drawn(60),
    "pcsk" + "_" + drawn(60),
    "github" + "_pat_" + drawn(22) + "_" + drawn(59),
    *(f"gh{letter}" + "_" + drawn(36) for letter in "pousr"),
    *(name + "-" + drawn(20) for name in ("glpat", "gldt", "glrt", "glptt", "gloas")),
    "ATATT3" + drawn(180),
    "ATBB" + drawn(32),
    "AKIA" + drawn(16, string.ascii_uppercase + "234567"),
    "ASIA" + drawn(16, string.ascii_uppercase + "234567"),
    "IQoJb3JpZ2lu" + drawn(300),
    "aws_secret_access_key = " + drawn(20) + "/" + drawn(19),
    "AWS_SECRET_ACCESS_KEY=" + "/" + drawn(39),
    "aws_session_token: " + drawn(200),
    "AIza" + drawn(35),
    "ya29" + "." + drawn(100),
    "GOCSPX" + "-" + drawn(28),
    "AccountKey" + "=" + drawn(86) + "==",
    "SharedAccessKey" + "=" + drawn(43) + "=",
    drawn(52) + "JQQJ99" + drawn(26),
    drawn(76) + "AZDO" + drawn(4),
    drawn(84),
    "abc8" + "Q~" + drawn(34),
    "dop" + "_v1_" + drawn(64, HEX),
    "HRKU" + "-AA" + drawn(58),
    "hvs" + "." + drawn(95),
    "hvb" + "." + drawn(140),
    drawn(14) + "." + "atlasv1" + "." + drawn(67),
    "pul" + "-" + drawn(40, HEX),
    "dp.pt" + "." + drawn(43),
    "dapi" + drawn(32, HEX),
    "pscale" + "_pw_" + drawn(43),
    "pnu" + "_" + drawn(36),
    "glsa" + "_" + drawn(32) + "_" + drawn(8, HEX),
    "sntryu" + "_" + drawn(64, HEX),
    "NRAK" + "-" + drawn(27, string.ascii_uppercase + string.digits),
    "PMAK" + "-" + drawn(24, HEX) + "-" + drawn(34, HEX),
    "lin" + "_api_" + drawn(40),
    "ntn" + "_" + drawn(46),
    "figd" + "_" + drawn(43),
    "shpat" + "_" + drawn(32, HEX),
    "sk" + "_live_" + drawn(24),
    "rk" + "_test_" + drawn(24),
    "whsec" + "_" + drawn(32),
    "xoxb" + "-1234567890-1234567890123-" + drawn(24),
    "https://hooks.slack.com/" + "services/T" + drawn(9) + "/B" + drawn(9) + "/" + drawn(24),
    "https://discord.com/api/" + "webhooks/123456789012345678/" + drawn(68),
    "SK" + drawn(32, HEX),
    "SG" + "." + drawn(22) + "." + drawn(43),
    "xkeysib" + "-" + drawn(64, HEX) + "-" + drawn(16),
    "npm" + "_" + drawn(36),
    "pypi" + "-AgEIcHlwaS5vcmc" + drawn(80),
    "rubygems" + "_" + drawn(48, HEX),
    "dckr" + "_pat_" + drawn(27),
    "AKCp" + drawn(69),
    "sha256" + "~" + drawn(43),
    "123456789:" + "AA" + drawn(33),
    "123456789:" + "AA" + drawn(27),
    "eyJ" + drawn(20) + ".eyJ" + drawn(60) + "." + drawn(43),
    "AGE-SECRET-" + "KEY-1" + drawn(58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"),
    "-----BEGIN RSA "
    "PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,AB12\n\n" + drawn(64) + "\n-----END",
    "-----BEGIN ENCRYPTED " + "PRIVATE KEY-----\n" + drawn(64) + "\n-----END ENCRYPTED PRIVATE KEY-----",
    "-----BEGIN OPENSSH " + "PRIVATE KEY-----\n" + drawn(70) + "\n" + drawn(70),
    "-----BEGIN PGP " + "PRIVATE KEY BLOCK-----\nVersion: 1\n\n" + drawn(64) + "\n-----END PGP PRIVATE KEY BLOCK-----",
    '{"private_key": "-----BEGIN ' + "PRIVATE KEY-----\\n" + drawn(64) + '\\n-----END PRIVATE KEY-----\\n"}',
    "PuTTY-User-"
    "Key-File-3: ssh-ed25519\nEncryption: none\nPrivate-Lines: 1\n" + drawn(64) + "\nPrivate-MAC: " + drawn(64, HEX),
    "Authorization: Bearer " + drawn(40),
    "curl -H 'authorization: bearer " + drawn(32, HEX) + "'",
    "Authorization: Basic " + base64.b64encode(b"ada:t0p-Secr3t").decode(),
    "curl -u ada:" + "t0p-Secr3t https://a.example",
    "x-api-key: " + drawn(32),
    "postgresql://ada:" + "t0p-Secr3t@db.internal:5432/app",
    "mongodb+srv://app:" + "p@ss-W0rd@cluster0.mongodb.net",
    "redis://:" + "t0p-Secr3t@localhost:6379/0",
    "Server=db;Database=app;User Id=sa;Password=" + "S3cret!Pass;",
    "host=db.internal user=ada password=" + "t0p-Secr3t dbname=app",
    "machine api.example.org login ada password " + "t0p-Secr3t",
    "DB_PASSWORD=" + "t0p-Secr3t",
    'export PGPASSWORD="' + 't0p-Secr3t"',
    "DJANGO_SECRET_KEY='" + drawn(50) + "'",
    'api_key = "' + drawn(32, HEX) + '"',
    '{"client_secret": "' + drawn(40) + '"}',
    "password: " + drawn(20),
]

PROSE = """
Set the key in the environment and never in the notebook.
The token count of a prompt is an estimate.
A password should be long.
The secret of a good bread is time.
Which key is pressed is reported as key: "ArrowLeft".
The passphrase was forgotten years ago.
Ключ лежит под ковриком.
Пароль должен быть длинным, токен — коротким.
Секрет хорошего хлеба — время.
Сколько токенов в этом ответе?
钥匙在垫子下面。
密码应该很长。
好面包的秘密是时间。
这个回答有多少个令牌？
请把密钥放在环境变量里。
sk-learn, sk-image and scikit-learn
sk-learn-compatible-estimators-and-transformers
task_risk_disk-management-and-backup-tool
postgres://postgres:postgres@localhost/db
postgresql://user:password@localhost:5432/app
mysql://root:root@127.0.0.1/test
https://user:<password>@host, redis://:${REDIS_PASSWORD}@host
amqp://guest:guest@localhost:5672
mongodb://localhost:27017/test
https://example.com:8080/@user/a:b@c
http://localhost:8888/lab?token=...
see http://example.com/a?b=c:d@e
git@github.com:ada/app.git
OPENAI_API_KEY=sk-...
OPENAI_API_KEY=your-key-here
export OPENAI_API_KEY="$(cat key.txt)"
API_KEY=${API_KEY}
api_key=os.environ["API_KEY"]
Set OPENAI_API_KEY to sk-xxxxxxxxxxxxxxxxxxxxxxxx
AKIAIOSFODNN7EXAMPLE
password = getpass.getpass()
token = tokenizer.encode(text)
tokens = model.generate(input_ids, max_new_tokens=256)
max_tokens: 4096
"eos_token": "<
endoftext
>"
pad_token_id=tokenizer.eos_token_id
secret_name: my-application-secret
key = lambda row: row["name"]
primary_key: customer_identifier
foreign_key="customers.customer_id"
Authorization: Bearer <token>
Authorization: Bearer $TOKEN
Authorization: Bearer YOUR_API_KEY
curl -u user:password https://a.example
password: changeme
PASSWORD=password
passwd: files systemd
DB_PASSWORD=
PASS=1
SORT_KEY=created_at
PRIMARY_KEY=id
TOKEN_LIMIT=8192
-----BEGIN PRIVATE KEY----- marks a key
-----BEGIN CERTIFICATE-----
-----BEGIN PUBLIC KEY-----
eyJ is how a JWT begins
gh_pages and ghp_
dapi is an adapter
hvs. and hvb. begin tokens
ya29. is a prefix
xai-org/grok
age-secret-key
pat123.x
key-value store
SKU12345678901234567890
llama-3.1-8b-instruct-q4_k_m.gguf
text-embedding-3-large
claude-opus-4-20260101
gpt-4o-mini-2024-07-18
sentence-transformers/all-MiniLM-L6-v2
""".strip().splitlines()

REPRESENTATION = """<style>#sk-container-id-12 {color: black}</style>
<div id="sk-container-id-12"
class="sk-top-container">
<div
class="sk-text-repr-fallback"><pre>Pipeline(steps=[(&#x27;scaler&#x27;, StandardScaler())])</pre></div><div
class="sk-item sk-dashed-wrapped">
<div
class="sk-label-container"><div
class="sk-label fitted sk-toggleable"><input
class="sk-toggleable__control sk-hidden--visually"
id="sk-estimator-id-47" type="checkbox" ><label for="sk-estimator-id-47"
class="sk-toggleable__label fitted sk-toggleable__label-arrow">
<span
class="sk-estimator-doc-link fitted">i</span></label><div
class="sk-toggleable__content fitted"><pre>Pipeline</pre></div></div>"""

HARMLESS = [
    *PROSE,
    REPRESENTATION,
    *(word for word in REPRESENTATION.replace('"', " ").split() if word.startswith("sk-")),
    *(
        hashlib.new(name, str(n).encode(), usedforsecurity=False).hexdigest()
        for n in range(10)
        for name in ("md5", "sha1", "sha256")
    ),
    *(f"commit {hashlib.sha1(str(n).encode(), usedforsecurity=False).hexdigest()}" for n in range(10)),
    *(f"sha512-{base64.b64encode(hashlib.sha512(str(n).encode()).digest()).decode()}" for n in range(10)),
    *(str(uuid.UUID(int=_DRAW.getrandbits(128))) for _ in range(20)),
    *(f'"id": "{uuid.UUID(int=_DRAW.getrandbits(128))}"' for _ in range(10)),
    *(f"data:image/png;base64,{base64.b64encode(_DRAW.randbytes(3_000)).decode()}" for _ in range(10)),
    *("\n".join(base64.encodebytes(_DRAW.randbytes(900)).decode().splitlines()) for _ in range(5)),
    *(f"{_DRAW.random()},{_DRAW.random()},{_DRAW.randint(1, 10**12)}\n" * 20 for _ in range(10)),
    *(f"2026-12-{day:02}T10:{day:02}:00.123456Z INFO request {drawn(8, HEX)} took {day} ms" for day in range(1, 29)),
    *(f"/home/ada/projects/{drawn(8, HEX)}/data-{n}.parquet" for n in range(10)),
    *(f"chatcmpl-{drawn(29)}" for _ in range(5)),
    *(f"arn:aws:iam::{n:012}:role/analysis" for n in range(5)),
]


def test_there_are_enough_of_both() -> None:
    assert len(FOUND) >= 80
    assert len(HARMLESS) >= 200


@pytest.mark.parametrize("words", FOUND)
@pytest.mark.parametrize("around", ["{}", "请用{}。\n", "see: {} and more"])
def test_a_secret_is_found(words: str, around: str) -> None:
    text = around.format(words)
    if not around.startswith("{") and "\n" not in words and words[:3].isupper() and "=" in words:
        text = f"first line\n{words}\nlast line"  # a variable has a line to itself
    assert leaks_in(text)
    assert redacted(text) != text


@pytest.mark.parametrize("words", HARMLESS)
def test_what_gives_nothing_away_is_left_alone(words: str) -> None:
    assert leaks_in(words) == []
    assert redacted(words) == words


@pytest.mark.slow
@pytest.mark.parametrize(
    "hostile",
    [
        "sk-",
        "sk-a1B2",
        "ghp_",
        "eyJ",
        "eyJaaaaaaaaaa.",
        "://",
        "a://b:c",
        "password=",
        "password:",
        "-----BEGIN PRIVATE KEY-----",
        "bearer ",
        "curl ",
        "login a password ",
        "A_KEY=",
        "key_",
        "Q~",
        "JQQJ99",
        "1:AA",
        "T/B",
        "hooks.slack.com/services/T",
        "xapp-1-A-1-",
        'token"',
        "PuTTY-User-Key-File-3:",
        "server=",
        "Authorization: Basic ",
        "a.b:",
        "AccountKey=",
        "-",
        "M" * 24 + ".",
        "%41",
        "\n",
        " ",
        "0",
        "a",
    ],
)
def test_the_work_grows_with_the_text(hostile: str) -> None:
    def seconds(size: int) -> float:
        words = hostile * (size // len(hostile))
        start = time.thread_time()
        leaks_in(words)
        return time.thread_time() - start

    seconds(1_000)
    short = min(seconds(20_000) for _ in range(2))
    assert min(seconds(160_000) for _ in range(2)) < 20 * short + 0.3  # 64 times as long, if it grew with the square
