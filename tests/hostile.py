"""Strings that try to run script, break markup, or turn text around; shared by every layer."""

# Each would set `window.canary` if it were ever treated as anything but text.
SCRIPTS = (
    "</script><script>window.parent.canary=1;window.canary=1</script>",
    '<img src=x onerror="window.parent.canary=1;window.canary=1">',
    "<svg/onload=window.parent.canary=1>",
    "<iframe srcdoc='<script>parent.parent.canary=1</script>'>",
    "[click](javascript:window.canary=1)",
    '"; window.canary=1; //',
    "' onmouseover='window.canary=1",
    "${window.canary=1}",
    "{{constructor.constructor('window.canary=1')()}}",
)
ODD = (
    "$x^2$",
    "<b>bold</b><br>",
    "\u202etxet desrever",
    "a\u2028b\u2029c",
    "\x00\x01\x1b",
    "\u0301",
    "**bold** `code` :material/bolt: :red[red]",
    "‏עברית العربية",
    "👩‍👩‍👧‍👦 🏳️‍🌈",
)
HOSTILE = SCRIPTS + ODD

# What runs, loads or marks the page if a browser reads it as markup. CANARY is a host that no
# name server knows; a request to it, an `x-canary` element or `window.canary` is a hit.
CANARY = "canary.invalid"
_RUN = "window.canary=1;window.parent.canary=1"
PAYLOADS = (
    f"<script>{_RUN}</script>",
    f'<script src="http://{CANARY}/s.js"></script>',
    f'<img src=x onerror="{_RUN}">',
    f"<img src=http://{CANARY}/i.png>",
    f"<svg onload={_RUN}>",
    f"<svg><script>{_RUN}</script></svg>",
    f"<svg><animate onbegin={_RUN} attributeName=x dur=1s>",
    f"<math><mtext><img src=x onerror={_RUN}></mtext></math>",
    f"<iframe srcdoc='<script>{_RUN}</script>'></iframe>",
    f'<iframe src="javascript:{_RUN}"></iframe>',
    f"<object data=http://{CANARY}/o></object><embed src=http://{CANARY}/e>",
    f"<video src=x onerror={_RUN}></video><audio src=x onerror={_RUN}></audio>",
    f"<details open ontoggle={_RUN}>x</details>",
    f"<input autofocus onfocus={_RUN}><select autofocus onfocus={_RUN}>",
    f"<style>@import 'http://{CANARY}/c.css';*{{background:url(http://{CANARY}/b)}}</style>",
    f"<link rel=stylesheet href=http://{CANARY}/l.css><base href=http://{CANARY}/>",
    f"<meta http-equiv=refresh content='0;url=http://{CANARY}/m'>",
    f"<form action=http://{CANARY}/f><button formaction=javascript:{_RUN}>x</button></form>",
    "<x-canary>x</x-canary>",
    f"<p style=\"background:url('http://{CANARY}/p')\"><x-canary>",
)
_BREAKOUTS = (
    "",
    '">',
    "'>",
    "--></style></script></title></textarea></select></template>",
    "]]>\u2028\u2029",
    "\x00<\x00",
    '\\"}]</script>',
    "\u202e\u2066<b>",
)
_ATTRIBUTES = tuple(
    f"{quote}{space}{event}={quote}{_RUN}{quote} x={quote}"
    for quote in ('"', "'", "`", "")
    for space in (" ", "/", "\t")
    for event in ("onmouseover", "onfocus", "onanimationstart style=animation:x")
)
_OTHERS = (
    f"![x](http://{CANARY}/md.png)",
    f"[x](javascript:{_RUN}) <javascript:{_RUN}>",
    f'[x]: http://{CANARY}/r "y"\n![x]',
    f"# <x-canary>\n\n| a | b |\n|---|---|\n| <x-canary> | ![](http://{CANARY}/t.png) |",
    "```html\n<x-canary>\n```",
    ":material/bolt: :red[**x**] :red-background[x] :red-badge[x] :small[x] :streamlit:",
    "$\\href{javascript:window.canary=1}{x}$",
    f"$$\\includegraphics{{http://{CANARY}/tex.png}}$$",
    "$\\htmlData{x=1}{y} \\unicode{x3c}x-canary> \\url{javascript:window.canary=1}$",
    "\\(x\\) \\[y\\] $x^2$ $$\\frac{1}{2}$$",
    f'<a href="javascript:{_RUN}">x</a>',
    f'<a href="http://{CANARY}/a" target="_self">x</a><br><sup>x</sup><i>y</i>',
    "%{x}<extra></extra> %{customdata} %{meta[0]}",
    "&lt;x-canary&gt; &#60;x-canary&#62; &ltx-canary>",
    "\\u003cx-canary\\u003e \\x3cx-canary\\x3e",
    "${window.canary=1}`${window.canary=1}`",
    "{{constructor.constructor('window.canary=1')()}} {%raw%} <%= 1 %> #{1}",
    f"';window.canary=1;// \\';{_RUN};//",
    f"*/;{_RUN};/* }}}};{_RUN};{{{{",
    f"\ud83d\ude00\u2028;{_RUN}\u2029".encode("utf-16", "surrogatepass").decode("utf-16"),
    "__proto__ constructor prototype toString",
    "=HYPERLINK(\"http://canary.invalid/x\") @SUM(1) +1 -1 =cmd|' /C calc'!A0",
    "\x00",
    "a\x00b\x07\x08\x1b[31mred\x1b[0m\x7f\x80\x9f",
    "\u2028",
    "\u2029 \x0b \x0c \x85",
    "".join(map(chr, (0x202A, 0x202B, 0x202C, 0x202D, 0x202E, 0x2066, 0x2067, 0x2068, 0x2069))),
    "\u200e\u200f\u061c\u200b\u200c\u200d\ufeff\u2060",
    "\u202e\u05d0\u05d1<x-canary>\u202c",
    "e" + "\u0301" * 60,
    "\ufdd0\ufffe\uffff\U0010ffff\ue000",
    "\U000e0001\U000e0041\ufe0f",
    "../../../../etc/passwd\x00.png",
    "file:///etc/passwd data:text/html,<x-canary> javascript:window.canary=1",
    "a" * 300,
    "<" * 200,
)
# Strings of every kind, each once: what a vocabulary or a link may hold at worst.
MANY = tuple(
    dict.fromkeys(
        [
            *HOSTILE,
            *_ATTRIBUTES,
            *_OTHERS,
            *(b + payload for payload in PAYLOADS for b in _BREAKOUTS),
        ]
    )
)
assert len(MANY) >= 200
