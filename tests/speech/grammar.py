"""Text as models write it, and worse: Markdown, many scripts, tags and noise, for the laws."""

from hypothesis import strategies as st

ATOMS = [
    *("Hello", "world", "Dr. Smith", "e.g.", "U.S.", "3.14", "1,000", "v2.0.1", "a", "B", "42", "Im 5. Jahrhundert"),
    *(" ", "  ", "\n", "\n\n", "\t", "    ", "\r\n", "\u00a0"),
    *(". ", "! ", "? ", ".", "…", "...", "?!", ", ", "; ", ": ", " - ", "—", ",", ":"),
    *("。", "！", "？", "，", "、", "：", "你好", "天气", "「", "」", "“", "”", "を", "한국어", "**注意：**请"),
    *("هل", "؟", "नमस्ते", "।", "Բարև", "é", "e\u0301", "\u0301", "\u200d"),
    *('"', "'", "(", ")", "[", "]", "](", "!", "![", "{", "}"),
    *("[text](http://x.y/z)", "![alt](u.png)", "[a][b]", "[^1]", "[^1]: note\n", "[lab]: http://q.r\n"),
    *("*", "**", "***", "_", "__", "~~", "~", "`", "``", "```", "```py\n", "\n```\n", "`a`", "x_y_z", "2 * 3"),
    *("# ", "## ", "#", "- ", "* ", "• ", "1. ", "2) ", "> ", "- [ ] ", "---\n", "===\n"),
    *("| a | b |\n", "|---|---|\n", "| 1 | 2 |\n", "|"),
    *("<think>", "</think>", "<b>", "</b>", "<br>", "<div>", "<name>", "<", "<3", "<!-- c -->", "<script>", "<!-"),
    *("&amp;", "&", "\\", "\\*", "\\(x\\)", "\\[a\\]", "$x^2$", "$5", "$", "$$"),
    *("https://www.example.com/a?b=c", "www.foo.org", "http", "http://", "me@x.org", "<https://a.b>", "<a@b.c>"),
    *("😀", "👨‍👩‍👧", "🇩🇪", "1️⃣", "❤️", "©", "(laughing)", "[whispers]", "(la"),
]

texts = st.lists(st.sampled_from(ATOMS), min_size=1, max_size=16).map("".join)


def cut(text: str, places: list[int]) -> list[str]:
    """`text` in tokens, cut at the given places (modulo its length)."""
    edges = sorted({place % (len(text) + 1) for place in places} | {0, len(text)})
    return [text[begin:end] for begin, end in zip(edges, edges[1:], strict=False)]  # noqa: RUF007
