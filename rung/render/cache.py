"""What is kept in the home as text or JSON."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Sequence

from rich.filesize import decimal

from rung import cache, home
from rung.cache import Kept, Removed
from rung.fetch import local_copies
from rung.render import tables
from rung.render.tables import Filled, Section


def render(items: Sequence[Kept], form: str, width: int | None = None) -> str:
    """Number, size and times of each kind. form: "table" or "json"."""
    kinds = {kind: [i for i in items if i.kind == kind] for kind in cache.ALL}
    kinds = {kind: of for kind, of in kinds.items() if of}
    counted = [i for i in items if i.kind in cache.CACHED]
    stale = [i for i in items if i.stale]
    copies = local_copies() if (home.place() / "local.json").exists() else {}
    if form == "json":
        plain = {
            "schema": 1,
            "home": str(home.place()),
            "bytes": cache.total(counted),
            "stale": len(stale),
            "stale_bytes": cache.total(stale),
            "kinds": [
                {
                    "kind": kind,
                    "number": len(of),
                    "bytes": cache.total(of),
                    "last_used": utc(max(i.used for i in of)),
                    "oldest_use": utc(min(i.used for i in of)),
                    "stale": sum(i.stale for i in of),
                    "stale_bytes": cache.total(i for i in of if i.stale),
                }
                for kind, of in kinds.items()
            ],
            "local_copies": copies,
        }
        return json.dumps(plain, indent=1)
    facts = [f"Cache: {decimal(cache.total(counted))}; `rung cache list` shows what is in it."]
    if stale:
        facts.append(
            f"Stale: {len(stale)}, {decimal(cache.total(stale))}, of other versions of Rung or its "
            "libraries, or left behind by killed processes; `rung cache prune` removes it."
        )
    if "interpreters" in kinds:
        facts.append("Interpreters don't count; `rung cache clear interpreters` removes them.")
    if cache.OTHER in kinds:
        facts.append("Other files are none of Rung's and stay.")
    if copies:
        facts.append(f"Copies of your own (`rung data remove` forgets one): {', '.join(copies)}.")
    if not kinds:
        return "\n".join([f"{home.place()}: nothing is kept", *facts[1:]])
    columns = [
        Filled("kept", list(kinds), 0, "left"),
        Filled("number", [f"{len(of):,}" for of in kinds.values()], 1),
        Filled("size", [decimal(cache.total(of)) for of in kinds.values()], 0),
        Filled("last used", [local(max(i.used for i in of)) for of in kinds.values()], 2),
        Filled("oldest use", [local(min(i.used for i in of)) for of in kinds.values()], 3),
        Filled("stale", [stale_part(of) for of in kinds.values()], 1),
    ]
    return tables.text(Section(str(home.place()), columns, facts), width)


def listed(items: Sequence[Kept], form: str, width: int | None = None) -> str:
    """A line for each thing, the last used first."""
    if form == "json":
        entries = [
            {
                "kind": i.kind,
                "about": i.about,
                "bytes": i.bytes,
                "used": utc(i.used),
                "stale": i.stale,
                "path": str(i.path),
            }
            for i in items
        ]
        plain = {"schema": 1, "home": str(home.place()), "entries": entries}
        return json.dumps(plain, indent=1)
    if not items:
        return f"{home.place()}: nothing is kept"
    columns = [
        Filled("kept", [i.kind for i in items], 1, "left"),
        Filled("last used", [local(i.used) for i in items], 2),
        Filled("size", [decimal(i.bytes) for i in items], 1),
        Filled("stale", ["yes" if i.stale else "" for i in items], 3, "left"),
        Filled("what", [i.about for i in items], 0, "left"),
    ]
    return tables.text(Section(str(home.place()), columns, []), width)


def removed(done: Removed) -> str:
    """What is gone, by kind, and what is left."""
    lines = [f"removed from {kind}: {text}" for kind, text in by_kind(done.removed)]
    lines += [f"in use, left alone in {kind}: {text}" for kind, text in by_kind(done.in_use)]
    left = decimal(cache.total(cache.kept(cache.CACHED)))
    freed = f"{decimal(cache.total(done.removed))} freed" if done.removed else "nothing to remove"
    return "\n".join([*lines, f"{freed}; {left} left in {home.place()}"])


def by_kind(items: Iterable[Kept]) -> list[tuple[str, str]]:
    found: dict[str, list[Kept]] = {}
    for item in items:
        found.setdefault(item.kind, []).append(item)
    return [(kind, f"{len(of):,} ({decimal(cache.total(of))})") for kind, of in found.items()]


def stale_part(items: Sequence[Kept]) -> str:
    stale = [i for i in items if i.stale]
    return f"{len(stale):,} ({decimal(cache.total(stale))})" if stale else ""


def utc(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")


def local(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")
