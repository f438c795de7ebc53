"""Files of a run folder as a hostile hand or a failing disk leaves them: values of other shapes, torn and odd bytes."""

import copy
import json
import random
from typing import Any

DEEP: Any = []
for _ in range(500):
    DEEP = [DEEP]
JUNK = [None, True, 0, -1, 1.5, 1e308, float("nan"), float("inf"), 10**30, "", "abc", "²", "a\nerror: b", "\x1b[2J\x9b"]
JUNK += ["\ud800", "\0", "x" * 200_000, "../..", "/dev/zero", "${oc.env:HOME}", "${", "{0.__class__}", "=1+1", DEEP]
JUNK += [[], {}, [None], ["a", 1], [[[]]], {"a": 1}, {"": {"": []}}, {"_target_": "os.system"}, [10**5000]]
CELLS = ["abc", "", "nan", "1e999", "-1e308", "9" * 5000, "²", "x" * 200_000, '"', "\0", "1,2,3", "\r", "=1+1", " "]


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The path of every value in a tree."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in items for place in places(item, (*path, key)))]


def replaced(tree: Any, path: tuple, value: Any) -> Any:
    """The tree with another value at a place; the place goes where the value is `...`."""
    if not path:
        return {} if value is ... else value
    holder = tree
    for key in path[:-1]:
        holder = holder[key]
    if value is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return tree


def of_json(content: bytes, dice: random.Random) -> bytes:
    """One value of a JSON file replaced or removed; one time in five the bytes themselves change."""
    if dice.random() < 0.2:
        return of_bytes(content, dice)
    tree = json.loads(content)
    shallow = sorted(places(tree), key=len)[: dice.choice((20, 80, 1000))]
    made = replaced(copy.deepcopy(tree), dice.choice(shallow), dice.choice([*JUNK, ..., ...]))
    try:
        return json.dumps(made).encode()
    except ValueError:  # more digits than Python writes
        return b'{"config": 1' + b"0" * 5000 + b"}"


def of_csv(content: bytes, dice: random.Random) -> bytes:
    """One cell replaced; one time in three the bytes themselves change."""
    if dice.random() < 0.33:
        return of_bytes(content, dice)
    rows = [line.split(",") for line in content.decode().splitlines()]
    row = dice.choice(rows)
    row[dice.choice([0, dice.randrange(len(row))])] = dice.choice(CELLS)
    return "\n".join(",".join(row) for row in rows).encode("utf-8", "replace") + b"\n"


def of_bytes(content: bytes, dice: random.Random) -> bytes:
    """Bytes cut, flipped, repeated, or with something put in."""
    at = dice.randrange(len(content) + 1)
    more = dice.choice(
        [b"\n", b"\n\n", b"\xff\xfe", b"\0" * 100, b"[" * 100_000, b"\x1b[2J", b",,,", b'"', b"9" * 5000]
    )
    kinds = [content[:at], content[:at] + more + content[at:], content[at:], more, b"", content * 3]
    kinds.append(content[:at] + bytes(dice.randrange(256) for _ in range(8)) + content[at + 8 :])
    return dice.choice(kinds)
