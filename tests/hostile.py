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
