"""How a page is made: templates that escape whatever is put into them, words in two languages, data as JSON.

Imports neither torch nor Lightning.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from vae_lightning.pages.strings import COMMON

TEMPLATES = Path(__file__).resolve().parent / "templates"
Strings = Mapping[str, tuple[str, str]]  # key -> (English, Japanese): our own markup, with {name} for what is put in
UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def render(template: str, strings: Strings, **context: Any) -> str:
    """The page. In a template `t("key", n=3)` says a string in both languages, `label("key")` the same as the
    attributes of a control, `data("id", value)` embeds JSON, and `inlined("file")` a script or style of ours.

    Raises jinja2's UndefinedError for a name the template uses and nobody gave, KeyError for a string there is not.
    """
    words = {**COMMON, **strings}

    def t(key: str, **values: Any) -> Markup:
        english, japanese = (Markup(each).format(**values) for each in words[key])
        return Markup('<span lang="en">{}</span><span lang="ja">{}</span>').format(english, japanese)

    def label(key: str, **values: Any) -> Markup:
        english, japanese = (each.format(**values) for each in words[key])
        return Markup('aria-label="{}" data-label-en="{}" data-label-ja="{}"').format(english, english, japanese)

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(t=t, label=label, data=data, inlined=inlined, strings=words)
    return environment.get_template(template).render(**context)


def data(name: str, value: Any) -> Markup:
    """Plain values for the page's script, which reads them with `Page.data(name)`."""
    return Markup('<script type="application/json" id="{}">{}</script>').format(name, Markup(as_json(value)))


def as_json(value: Any) -> str:
    """JSON that can stand inside a script element: nothing in it ends the element or begins another."""
    text = json.dumps(finite(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character, escaped in UNSAFE.items():
        text = text.replace(character, escaped)
    return text


def finite(value: Any) -> Any:
    """The same values, with null for a number that JSON cannot say."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): finite(each) for key, each in value.items()}
    return [finite(each) for each in value] if isinstance(value, list | tuple) else value


def inlined(name: str) -> Markup:
    """A script or style sheet of ours as it is. Nothing that a user wrote comes this way."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def quoted(text: object) -> str:
    """Any text as HTML."""
    return str(escape(str(text)))
