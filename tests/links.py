"""Generated links: everything that can be wrong with an address, from a fixed seed."""

import random
from urllib.parse import quote

from app.links.parameters import PARAMETERS
from tests.hostile import MANY

_NUMBERS = (
    "-1", "0", "1", "7", "255", "256", "9" * 12, "9" * 400, "-" + "9" * 30, "1e309", "-0", "+1",
    "1.5", "0x10", "0b1", "1_000", " 1", "1 ", "٣", "１", "Ⅷ", "½", "nan", "inf", "-inf", "NaN",
    "1e9", "1,2", "00000001", "2147483648", "18446744073709551616", "0.4000000000000001",
)  # fmt: skip
_TYPES = (
    "", "true", "None", "null", "undefined", "[]", "{}", "[1]", '{"a":1}', "()", "lambda: 1",
    "__import__('os').system('id')", "{7*7}", "%s%n", "' OR 1=1 --", "\x00", "\n\r\t", "NaN,NaN",
    "L0H0", "L1H1,L0H99", "L9999999H1", "L-1H0", "l0h0", "L٣H0", "L0H0," * 400, "none", "prompt",
    "repeated", "attn-only-2l", "gelu-4l", "grid", "circuitsvis", "mean", "zero", "0,1,2",
    "1" * 5000, "é" * 2000, "日本語", "👩‍👩‍👧", "ﷺ" * 50, "ß", "İ",
)  # fmt: skip
_PATHS = (
    "../../etc/passwd", "/etc/passwd", "..\\..\\windows\\win.ini", "file:///etc/passwd",
    "models/attn-only-2l", "./models/attn-only-2l/", "attn-only-2l/../gelu-4l", "~root/.ssh/id_rsa",
    "/proc/self/environ", "//evil.invalid/share", "http://evil.invalid/model", "CON", "a\x00b",
    "/dev/stdin", "pages/start.py", "hf://evil/model", "openai-community/gpt2", "....//....//etc",
)  # fmt: skip
# As they stand in the address: not everything in one is encoded, or encoded to the end.
_RAW = (
    "%", "%%", "%2", "%zz", "%00", "%ff%fe", "%E2%82", "%C0%AF", "%ED%A0%80", "%F5%80%80%80",
    "%u202e", "%252e%252e%252f", "a%0d%0aSet-Cookie:x=1", "%EF%BB%BF1", "1%00", "+%2B+", "=;=",
    "%E2%80%AE%E2%81%A6", "<script>", '"', "'", "`", "{", "|", "^",
)  # fmt: skip
_KEYS = (
    "",
    "embed",
    "embed_options",
    "__proto__",
    "Layer",
    "layer ",
    "layer[]",
    "view.layer",
    "ſeed",
)


def hostile_query(draw: random.Random, most: int = 12) -> str:
    """The query string of one generated link, as it stands behind the question mark."""
    known = [parameter.key for parameter in PARAMETERS]
    parts = []
    for key in draw.sample(known, draw.randint(1, most)):
        # A key now and then comes twice or more.
        for _ in range(draw.choice((1, 1, 1, 1, 1, 2, 5))):
            parts.append(f"{key}={_value(draw)}")
    if draw.random() < 0.3:
        parts.append(f"{quote(draw.choice(_KEYS), safe='')}={_value(draw)}")
    if draw.random() < 0.1:
        parts.append(draw.choice(("", "&&&", "layer", "=1", "#x", "?a=1", "layer;head=1")))
    draw.shuffle(parts)
    return "&".join(parts)


def _value(draw: random.Random) -> str:
    if draw.random() < 0.15:
        return draw.choice(_RAW)
    pool = draw.choice((_NUMBERS, _NUMBERS, _TYPES, _PATHS, MANY))
    return quote(draw.choice(pool)[:2000], safe="")
