"""Rendering: templates that escape every value, words in two languages, data as JSON. Imports no torch."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from vae_lightning.pages.base.words import COMMON

PAGES = Path(__file__).resolve().parent.parent  # names of templates, scripts and styles begin here: base/base.css
Strings = Mapping[str, tuple[str, str]]  # key -> (English, Japanese); the markup is ours, {name} stands for a value
UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def render(template: str, strings: Strings, **context: Any) -> str:
    """The page as HTML.

    A template calls `t("key", n=3)` for a text in both languages, `label("key")` for the same as attributes of a
    control, `data("id", value)` for embedded JSON and `inlined("base/base.js")` for a script or style of the package.
    Raises jinja2's UndefinedError for an unknown name, KeyError for an unknown key.
    """
    words = {**COMMON, **strings}

    def t(key: str, **values: Any) -> Markup:
        english, japanese = (Markup(each).format(**values) for each in words[key])
        return Markup('<span lang="en">{}</span><span lang="ja">{}</span>').format(english, japanese)

    def label(key: str, **values: Any) -> Markup:
        english, japanese = (each.format(**values) for each in words[key])
        return Markup('aria-label="{}" data-label-en="{}" data-label-ja="{}"').format(english, english, japanese)

    environment = Environment(
        loader=FileSystemLoader(PAGES),
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
    """JSON for a script element: no value can end the element or begin another one."""
    text = json.dumps(sayable(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character, escaped in UNSAFE.items():
        text = text.replace(character, escaped)
    return text


def sayable(value: Any) -> Any:
    """The same values, with None in place of nan and infinity, which JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): sayable(item) for key, item in value.items()}
    return [sayable(item) for item in value] if isinstance(value, list | tuple) else value


def inlined(name: str) -> Markup:
    """A script or style sheet of the package, unescaped. No text of a user comes this way."""
    return Markup((PAGES / name).read_text(encoding="utf-8"))
