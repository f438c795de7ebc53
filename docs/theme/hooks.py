"""What mkdocs.yml cannot say of a page: its language."""

from typing import Any


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Japanese pages say so: browsers choose the shapes of Chinese characters, and hyphenation, by the language."""
    if page.file.src_uri.startswith("ja/"):
        return output.replace('<html lang="en"', '<html lang="ja"', 1)
    return output
