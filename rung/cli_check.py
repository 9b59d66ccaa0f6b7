"""`rung check`: its arguments, and what it does with them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.errors import RungError

if TYPE_CHECKING:
    from rung.checks import Report
    from rung.dataset import Dataset

Load = Callable[..., "Dataset"]  # (name, arguments, lenient)


def add_parser(
    parsers: argparse._SubParsersAction[Any], name: str, text: str, example: str
) -> argparse.ArgumentParser:
    """A command or an action, whose page says what it does and shows an example."""
    parser: argparse.ArgumentParser = parsers.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=f"example: {example}"
    )
    return parser


def add_suite(action: argparse.ArgumentParser) -> None:
    """--suite after the action too; help shows it before. (A default would undo what stood there.)"""
    action.add_argument(
        "--suite", action="append", default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )


def add_actions(
    check: argparse.ArgumentParser, add_own: Callable[[argparse.ArgumentParser], None]
) -> None:
    actions = check.add_subparsers(dest="action", required=True, metavar="ACTION")

    def add(name: str, text: str, example: str) -> argparse.ArgumentParser:
        action = add_parser(actions, name, text, f"rung check {example}")
        add_suite(action)
        return action

    data = add(
        "data",
        "look for doubled, mislabelled, leaking, shifted and broken examples",
        "data house.csv --target price --html house.html",
    )
    data.add_argument("name", metavar="NAME_OR_PATH", help="as `rung run` takes it")
    data.add_argument(
        "--rung",
        metavar="NAME",
        default="",
        help="its out-of-sample probabilities judge the labels",
    )
    add_options(data)
    add_own(data)
    model = add(
        "model",
        "train a model in many ways on some of the data, and see whether it behaves",
        "model my_net.py:make --data digits",
    )
    model.add_argument(
        "model",
        metavar="MODEL",
        help="MODULE:FACTORY or FILE.py:FACTORY of scikit-learn estimators or torch modules, "
        "or a rung",
    )
    model.add_argument(
        "--data", required=True, dest="name", metavar="NAME_OR_PATH", help="as `rung run` takes it"
    )
    model.add_argument(
        "--needs",
        choices=("raw", "numbers", "standardized", "sparse", "categories", "pixels"),
        default="",
        help="what the model is fed (standardized)",
    )
    model.add_argument(
        "--px", type=int, metavar="N", help="pictures are at most N pixels wide (32)"
    )
    add_options(model)
    add_own(model)
    ladder = add("ladder", "check data sets and every rung on each of them", "ladder digits --fast")
    ladder.add_argument("names", nargs="*", metavar="NAME", help="benchmarks or data sets (quick)")
    ladder.add_argument("--baselines", metavar="A,B", help="these rungs only")
    add_options(ladder)
    listing = add("list", "list the checks, or explain one", "list RC101")
    listing.add_argument("codes", nargs="*", metavar="CODE", help="or how codes begin")


def add_options(action: argparse.ArgumentParser) -> None:
    action.add_argument("--fast", action="store_true", help="fewer rows, less detail")
    action.add_argument("--slow", action="store_true", help="run the checks that take long too")
    action.add_argument("--only", metavar="CODES", default="", help="these checks: RC101,RC2")
    action.add_argument("--ignore", metavar="CODES", default="", help="all but these")
    action.add_argument(
        "--false-alarms",
        metavar="P",
        type=float,
        help="of all statistical checks together (0.01)",
    )
    action.add_argument(
        "--format",
        choices=("table", "json", "html", "junit"),
        default="table",
        help="what is printed (table)",
    )
    action.add_argument(
        "--html", metavar="FILE", type=Path, help="write a page too, pictures and charts in it"
    )


def run(arguments: argparse.Namespace, load: Load, width: int | None) -> bool:
    """Prints the reports. Whether there is no error in any."""
    from rung.render import checks as rendered

    if arguments.action == "list":
        print(rendered.catalogue(listed(arguments.codes), width))
        return True
    share = arguments.false_alarms
    if share is not None and not 0 < share < 1:
        raise RungError(f"--false-alarms {share}: say a share, such as 0.01")
    reports = ACTIONS[arguments.action](arguments, load)
    # Before anything is printed, so that a file that can't be written is one line.
    if arguments.html is not None:
        from rung.render.page import write

        write(arguments.html, rendered.page(reports).encode())
    print(rendered.render(reports, arguments.format, width))
    if arguments.html is not None:
        print(f"rung: wrote {arguments.html}", file=sys.stderr)
    return all(report.ok for report in reports)


def listed(codes: list[str]) -> list[Any]:
    from rung.checks.catalogue import KINDS, chosen

    return chosen(KINDS, codes)


def options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What all kinds of checks take."""
    share = {} if arguments.false_alarms is None else {"false_alarms": arguments.false_alarms}
    return {
        **share,
        "fast": arguments.fast,
        "slow": arguments.slow,
        "only": [code for code in arguments.only.split(",") if code],
        "ignore": [code for code in arguments.ignore.split(",") if code],
        "progress": progress(),
    }


def progress() -> Callable[[str], None]:
    """Shows on a terminal which check runs."""
    if not sys.stderr.isatty():
        return lambda line: None

    def show(line: str) -> None:
        print(f"\r\033[K{line[:78]}", end="", file=sys.stderr, flush=True)

    return show


def of_data(arguments: argparse.Namespace, load: Load) -> list[Report]:
    from rung.checks import check_data

    dataset = load(arguments.name, arguments, lenient=True)
    return [check_data(dataset, rung=arguments.rung, **options(arguments))]


def of_model(arguments: argparse.Namespace, load: Load) -> list[Report]:
    from rung.checks import check
    from rung.checks.model.given import given

    model = given(arguments.model, arguments.needs, arguments.px)  # before any data are loaded
    return [check(model, load(arguments.name, arguments), **options(arguments))]


def of_ladder(arguments: argparse.Namespace, load: Load) -> list[Report]:
    from rung.checks import check_ladder

    baselines = arguments.baselines.split(",") if arguments.baselines else None
    return check_ladder(arguments.names or None, baselines, **options(arguments))


ACTIONS = {"data": of_data, "model": of_model, "ladder": of_ladder}
