"""What a mistaken word of the command line means: the option, key or group that was meant, as conf/ has it.

Every hint is a word that the command takes. Imports neither torch nor Lightning.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from vae_lightning.errors import shown
from vae_lightning.options import Option, chosen, command, groups, options
from vae_lightning.runs.configuration import key_of

NUMBERS = re.compile(r"\[?[-+.\d]+(e[-+]?\d+)?( ?, ?[-+.\d]+(e[-+]?\d+)?)*\]?", re.IGNORECASE)
TOGETHER = ("experiment", "remedy", "sweep")  # groups whose options set the keys of others
OF_PARTS = ("callbacks",)  # groups whose options are sets of parts: a part is added by its name
FILES = {".npy": "file", ".npz": "file"}  # the key that a path goes to, by its suffix; a folder goes to `dir`
NEAR, ALIKE = 0.75, 0.7  # of two keys; of two groups with the same option


def of_option(group: str, value: str, known: Iterable[str]) -> str:
    """`did you mean latent.dim=16? ` for latent=z16, which is no option; empty where nothing is near."""
    value = shown(value)
    sources = (
        as_path(group, value),
        as_number(group, value),
        elsewhere(value, "train", lambda other: other not in (group, *TOGETHER)),
        as_word(group, value),
        near(value, known, 0.6),
    )
    return asked(next(filter(None, ([*source][:2] for source in sources)), []))


def of_key(word: str, name: str = "train", words: Sequence[str] = ()) -> str:
    """`did you mean schedule=linear schedule.length=0.5? ` for a key that the command `name` does not have."""
    key, _, value = word.lstrip("+~").partition("=")
    value = shown(value)
    known = [group for group in groups() if group in chosen(name)]
    first, _, rest = key.partition(".")
    if rest and first in known:
        meant = [*within(first, rest, value, words)]
    else:
        alike = {group: likeness(first, group) for group in known}
        meant = [*elsewhere(value, name, lambda group: alike[group] >= ALIKE, alike)] if not rest else []
        meant = meant or [f"{root}={value}" for root in near(key, roots(name), NEAR)]
    last = key.rpartition(".")[2]
    meant = meant or [f"{root}={value}" for root in roots(name) if root == last or root.startswith(f"{last}_")]
    meant = meant or [
        f"{root}={value}" for root, said in remarks(name) if "_" in last and last.replace("_", " ") in said
    ]
    meant = meant or [*somewhere(key, value, known)]
    meant = meant or ([*elsewhere(value, name, lambda group: group not in TOGETHER)] if not rest else [])
    return asked(meant[:2] if "=" in word else [shown(hint.partition("=")[0]) for hint in meant[:1]])


def asked(meant: Sequence[str]) -> str:
    """`did you mean A or B? `"""
    return f"did you mean {' or '.join(meant)}? " if meant else ""


def as_path(group: str, value: str) -> Iterator[str]:
    """data=image_folder data.dir=PATH, for a path in place of an option: of the option that needs one."""
    if "/" in value or value in (".", "..") or Path(value).suffix in FILES or Path(value).is_dir():
        key = FILES.get(Path(value).suffix, "dir")
        for name, option in options(group).items():
            if key in option.keys and option.keys[key].text == "null":
                yield f"{group}={name} {group}.{key}={value}"
                return


def as_number(group: str, value: str) -> Iterator[str]:
    """latent.dim=20, for a number in place of an option; and latent.dim=16 for z16, where z20 is 20 dimensions."""
    usual = options(group).get(str(chosen().get(group)))
    stem = value.rstrip("0123456789")
    if NUMBERS.fullmatch(value) and usual is not None:
        first, key = next(iter(usual.keys.items()), ("", None))
        if key is not None and NUMBERS.fullmatch(str(key.value)):
            yield f"{key.follows or f'{group}.{first}'}={value}"
    elif stem != value:
        for name, option in options(group).items():
            numbered = {f"{stem}{key.text}": where for where, key in option.keys.items()}
            if name in numbered:
                yield f"{group}.{numbered[name]}={value.removeprefix(stem)}"
                return


def as_word(group: str, value: str) -> Iterator[str]:
    """network.activation=tanh, for a word that a key of the group takes: of the usual option, else of another."""
    usual = str(chosen().get(group))
    for name, option in sorted(options(group).items(), key=lambda pair: pair[0] != usual):
        for key, said in option.keys.items():
            if value in said.words and value.lower() not in ("true", "false", "null", "none"):
                yield f"{group}.{key}={value}" if name == usual else f"{group}={name} {group}.{key}={value}"
                return


def elsewhere(
    value: str, name: str, wanted: Callable[[str], bool], alike: Mapping[str, float] | None = None
) -> Iterator[str]:
    """bound=elbo, for the option of another group; the group whose name is nearest comes first."""
    having = [group for group in groups() if group in chosen(name) and wanted(group) and value in options(group)]
    for group in sorted(having, key=lambda group: -(alike or {}).get(group, 0)):
        yield add(group, value) if is_part(group, options(group)[value]) else f"{group}={value}"


def within(group: str, rest: str, value: str, words: Sequence[str]) -> Iterator[str]:
    """The word that sets a key of a group: it is misspelt, or another option has it."""
    part, _, inner = rest.partition(".")
    if group in OF_PARTS and inner and part in options(group) and inner in options(group)[part].keys:
        yield f"{add(group, part)} {group}.{rest}={value}"
        return
    now = option_of(group, words)
    own = options(group)[now].keys if now in options(group) else {}
    if misspelt := [key for key in near(rest, own, NEAR) if key != rest]:
        yield f"{own[misspelt[0]].follows or f'{group}.{misspelt[0]}'}={value}"
        return
    for cutoff in (1.0, NEAR):
        having = [(name, key) for name, option in options(group).items() for key in near(rest, option.keys, cutoff)]
        having = [(name, key) for name, key in having if name != now and not is_part(group, options(group)[name])]
        if having:
            name, key = having[0]
            yield f"{group}={name} {group}.{key}={value}"
            return


def somewhere(key: str, value: str, known: Sequence[str]) -> Iterator[str]:
    """latent.dim=20, for dim=20, latent_dim=20 or model.dim=20: the key of a group, of its usual option first."""
    last = key.rpartition(".")[2]
    for group in known:
        usual = options(group).get(str(chosen().get(group)))
        names = {last, key.removeprefix(f"{group}_")}
        for name, found in (usual.keys if usual else {}).items():
            if name in names:
                yield f"{found.follows or f'{group}.{name}'}={value}"
                return
    for group in known:
        if group not in (*OF_PARTS, *TOGETHER):
            for name, option in options(group).items():
                if last in option.keys:
                    yield f"{group}={name} {group}.{last}={value}"
                    break


def add(group: str, part: str) -> str:
    """+callbacks@callbacks.ema=ema"""
    return f"+{group}@{group}.{part}={part}"


def is_part(group: str, option: Option) -> bool:
    """Whether a YAML file of a group of sets is one part, which is no option by itself."""
    return group in OF_PARTS and bool(option.target)


def option_of(group: str, words: Sequence[str]) -> str:
    """The option of a group that a command line chooses, or that `train` chooses by itself."""
    said = [word.partition("=")[2] for word in words if key_of(word) == group]
    return said[-1] if said else str(chosen().get(group))


def roots(name: str) -> list[str]:
    """The keys of a command's own file that a user may set."""
    return [key for key, found in command(name).keys.items() if found.text != "???" or name != "train"]


def remarks(name: str) -> list[tuple[str, str]]:
    """(key, remark) of a command's own file."""
    return [(key, command(name).keys[key].remark) for key in roots(name)]


def near(word: str, known: Iterable[str], cutoff: float) -> list[str]:
    """The word of `known` that is nearest, or none."""
    return difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)


def likeness(one: str, other: str) -> float:
    """How alike two words are, 0 to 1."""
    return difflib.SequenceMatcher(None, one, other).ratio()
