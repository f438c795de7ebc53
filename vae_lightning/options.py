"""The options of conf/: what each says of itself, its class, and its keys with default and remark.

They are read as YAML, without Hydra. Imports neither torch nor Lightning.
"""

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from vae_lightning.errors import ConfigError, did_you_mean, shown
from vae_lightning.rules import is_number

PACKAGE = Path(__file__).resolve().parent
CONF = next(path for path in (PACKAGE / "conf", PACKAGE.parent / "conf") if (path / "train.yaml").is_file())
ROOT_KEY = re.compile(r"\$\{oc\.select:(?P<key>[\w.]+),(?P<default>.*)\}")  # a root key, and what stands in for it
END = r"(?=$|[:;]| \()"
LISTS = [re.compile(rf"(?:^|; )or ((?:[\w-]+, )*[\w-]+){END}"), re.compile(rf"^((?:[\w-]+, )*[\w-]+ or [\w-]+){END}")]
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
OF_HYDRA = ("defaults", "hydra")
NO_GROUPS = ("hydra", "reproduce")  # groups of Hydra's, and rows of the reproduce command


@dataclass(frozen=True)
class Key:
    """A key of a YAML file: its default as it is written, the remark beside it, and the line above it."""

    text: str
    remark: str = ""
    heading: str = ""

    @property
    def value(self) -> Any:
        """The default; of a value that follows a root key, the value without that key."""
        root = ROOT_KEY.fullmatch(self.text)
        return yaml.safe_load(root["default"] if root else self.text)

    @property
    def follows(self) -> str | None:
        """The root key that sets this one: `lr` of `optimizer.lr`."""
        root = ROOT_KEY.fullmatch(self.text)
        return root["key"] if root else None

    @property
    def words(self) -> list[str]:
        """The words that the key takes, where the remark lists them: `relu  # or elu, tanh`, `null  # on or off`."""
        listed = next(filter(None, (pattern.search(self.remark) for pattern in LISTS)), None)
        return [self.text, *re.split(", | or ", listed[1])] if listed else []


@dataclass(frozen=True)
class Option:
    """An option of a group, or the file of a command: one YAML file."""

    name: str
    says: str
    target: str
    keys: Mapping[str, Key]

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the class. A value that refers to another part of a configuration is left out."""
        values = {name: key for name, key in self.keys.items() if "${" not in key.text or key.follows}
        return {name: key.value for name, key in values.items()}

    def build(self, **more: Any) -> Any:
        """The object; of `more`, the class gets what it takes."""
        module, _, name = self.target.rpartition(".")
        kind = getattr(importlib.import_module(module), name)
        takes = inspect.signature(kind).parameters
        return kind(**{**self.arguments, **{key: value for key, value in more.items() if key in takes}})


def groups() -> list[str]:
    """The groups of conf/, Hydra's own not among them."""
    return sorted(path.name for path in CONF.iterdir() if path.name not in NO_GROUPS and any(path.glob("*.yaml")))


@cache
def options(group: str, folder: Path = CONF) -> dict[str, Option]:
    """{name: option} of a group, in the order of their names; numbers in names count as numbers."""
    paths = sorted((folder / group).glob("*.yaml"), key=lambda path: in_order(path.stem))
    return {path.stem: option_at(path) for path in paths}


def of_sweep() -> set[str]:
    """The keys below `sweep` that some option of it has."""
    keys = (key.removeprefix("sweep.") for option in options("sweep").values() for key in option.keys)
    return {key.partition(".")[0] for key in keys}


def in_order(name: str) -> list[Any]:
    """z2 before z20, and `none` first."""
    return [name != "none", *(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name))]


@cache
def command(name: str) -> Option:
    """The file of a command: train, evaluate, ..."""
    return option_at(CONF / f"{name}.yaml")


@cache
def chosen(name: str = "train") -> dict[str, str | None]:
    """{group: option} that a command chooses by itself."""
    defaults = yaml.safe_load((CONF / f"{name}.yaml").read_text(encoding="utf-8"))["defaults"]
    pairs = [pair for entry in defaults if isinstance(entry, dict) for pair in entry.items()]
    return {group: option for group, option in pairs if not group.startswith("override ")}


def option_at(path: Path) -> Option:
    """The option of a YAML file."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    says = next((line[2:] for line in lines if line.startswith("# ") and not line.startswith("# @package")), "")
    root = yaml.compose(text, Loader=LOADER)
    keys = dict(keys_of(root, lines)) if isinstance(root, yaml.MappingNode) else {}
    target = keys.pop("_target_", Key(""))
    return Option(path.stem, says, target.text, keys)


def keys_of(node: Any, lines: list[str], path: str = "") -> Iterator[tuple[str, Key]]:
    """(dotted key, Key) of the values of a YAML mapping."""
    for name, value in node.value:
        key = f"{path}.{name.value}" if path else str(name.value)
        if key in OF_HYDRA:
            continue
        above = lines[name.start_mark.line - 1] if name.start_mark.line > 1 else ""
        heading = above[2:] if above.startswith("# ") else ""
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            (first, found), *others = keys_of(value, lines, key)
            note = lines[name.start_mark.line].partition("# ")[2]
            yield first, replace(found, heading=" ".join(filter(None, [heading, note])))
            yield from others
            continue
        start, end = value.start_mark, value.end_mark
        line = lines[start.line]
        text = line[start.column : end.column] if start.line == end.line else "..."
        yield key, Key(text, line[end.column :].strip().removeprefix("#").strip(), heading)


def named(group: str, part: Any, **sizes: Any) -> Any:
    """The part that a name or a number means, built: "bce" is loss.Bernoulli(), latent=20 DiagonalGaussian(dim=20).

    A number, or a list of numbers, is the first argument of the group's usual option. Any other value comes back.
    `sizes` go to the classes that take them. Raises ConfigError for a name that is no option.
    """
    if isinstance(part, str):
        known = options(group)
        if part not in known:
            raise ConfigError(f"VAE({group}={shown(repr(part))}): no such option; {did_you_mean(part, known)}")
        return known[part].build(**sizes)
    numbers = part if isinstance(part, list | tuple) else [part]
    usual = options(group)[str(chosen()[group])]
    first = next(iter(usual.arguments), None)
    if not numbers or not all(map(is_number, numbers)) or first is None:
        return part
    return usual.build(**{**sizes, first: part})
