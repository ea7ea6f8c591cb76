"""Text from outside is shown as it is, whatever it holds."""

from __future__ import annotations

from saebrain.ui.text import clock, escaped, plain, signed, visible


def test_plain_takes_markdown_its_meaning() -> None:
    assert plain("**b** [x](http://y) <i> $z$ :red[q] `c`") == r"\*\*b\*\* \[x\]\(http\://y\) \<i\> \$z\$ \:red\[q\] \`c\`"
    assert plain("two\n# lines") == r"two \# lines"


def test_escaped_is_safe_in_elements_and_attributes() -> None:
    assert escaped("<a b=\"c\" d='e'>&") == "&lt;a b=&quot;c&quot; d=&#x27;e&#x27;&gt;&amp;"


def test_visible_shows_what_cannot_be_seen() -> None:
    assert visible(" the") == "␣the"
    assert visible("\n\t\r\x00\u200b") == "⏎⇥␍\\x00\\x200b"
    assert visible("") == "∅"
    assert visible("naïve") == "naïve"


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0, 9.96, 59.96, 187.42)] == ["0:00.0", "0:10.0", "1:00.0", "3:07.4"]


def test_signed_has_a_true_minus() -> None:
    assert signed(-0.5) == "−0.50" and signed(0.5, 1) == "+0.5"
