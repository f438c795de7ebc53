"""What mkdocs.yml cannot say of the Japanese pages: their language, and that their lines join without spaces."""

import re
from typing import Any

WIDE = r"[\u3000-\u30ff\u4e00-\u9fff\uff00-\uffef]"  # kana, Chinese characters, wide punctuation
BLOCK = r"(?:\* |\d+\. |[|#]|```)"  # how a list, a table, a heading or a block of code begins
JOINED = re.compile(rf"(?<={WIDE})\n *(?={WIDE})|(?<=[、。）])\n *(?!{BLOCK})(?=\S)")


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """A browser shows the end of a line as a space; Japanese has none."""
    return JOINED.sub("", markdown) if is_japanese(page) else markdown


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Browsers choose the shapes of Chinese characters by the language of the page."""
    return output.replace('<html lang="en"', '<html lang="ja"', 1) if is_japanese(page) else output


def is_japanese(page: Any) -> bool:
    return page.file.src_uri.startswith("ja/")
