"""The command `rung`. Thin: it reads arguments, calls the engine and prints."""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from rung import cli_check
from rung.errors import RungError

if TYPE_CHECKING:
    from rung.benchmark import Benchmark
    from rung.board import Board
    from rung.dataset import Dataset

DONE, NO, USAGE = 0, 1, 2


class Parser(argparse.ArgumentParser):
    """One clear line on a usage error."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"rung: error: {message}; see `{self.prog} --help`\n")


def parser() -> argparse.ArgumentParser:
    top = Parser(
        prog="rung",
        description="The ladder of baselines that every machine-learning project runs first.",
        epilog="example: rung run digits --seeds 5",
    )
    top.add_argument("--version", action="store_true", help="print the version")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)

    def add(name: str, help: str, example: str) -> argparse.ArgumentParser:
        command = cli_check.add_parser(commands, name, help, example)
        command.add_argument(
            "--suite",
            metavar="DIR",
            action="append",
            default=[],
            help="a folder with baselines/, datasets/ or benchmarks/ of your own",
        )
        return command

    def add_format(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "--format",
            choices=("table", "markdown", "csv", "json", "html"),
            default="table",
            help="what is printed (table)",
        )
        command.add_argument(
            "--level", type=float, default=0.95, help="of the intervals (0.95)", metavar="P"
        )

    def add_metric(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "--metric",
            metavar="NAME",
            help="decides the rank: one of Rung's (f1_macro, roc_auc, log_loss, ...), a scorer of "
            "scikit-learn, or your MODULE:FUNCTION of (y_true, y_pred)",
        )

    def add_output(command: argparse.ArgumentParser) -> None:
        add_format(command)
        command.add_argument(
            "--plot", metavar="FILE", type=Path, help="write a picture too, .png or .svg"
        )

    def add_run(command: argparse.ArgumentParser, what: str) -> None:
        command.add_argument("names", nargs="*", metavar="NAME", help=what)
        command.add_argument("--baselines", metavar="A,B", help="these rungs only")
        command.add_argument("--seeds", type=int, metavar="N", help="training runs of each rung")
        command.add_argument("--train-size", type=int, metavar="N", help="train on N rows")
        command.add_argument("--jobs", type=int, metavar="N", help="trials at a time (cores)")
        command.add_argument(
            "--trial-timeout", metavar="TIME", help="end a trial that takes longer (1h)"
        )
        command.add_argument(
            "--trial-memory",
            metavar="SIZE",
            help="end a trial that takes more, such as 4GB (its share of the machine's)",
        )
        command.add_argument(
            "--scheduler", metavar="ADDRESS", help="run on the Dask cluster there, tcp://HOST:PORT"
        )
        command.add_argument(
            "--workers", type=int, metavar="N", help="run on a Dask cluster of N workers, here"
        )
        command.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (auto)")
        command.add_argument(
            "--precision", default="auto", help="auto, bf16, fp16 or fp32, on a GPU (auto)"
        )

    def add_own(command: argparse.ArgumentParser) -> None:
        own = command.add_argument_group("data of your own; what you don't say is inferred")
        own.add_argument("--target", metavar="COL", help="the column to predict")
        own.add_argument("--text", metavar="COL", help="learn from the texts in this column alone")
        own.add_argument("--task", choices=("classification", "regression"))
        own.add_argument("--modality", choices=("image", "text", "tabular"))
        own.add_argument(
            "--group", metavar="COL", help="keep rows with the same value in the same part"
        )
        own.add_argument("--time", metavar="COL", help="test on the last 30 %% by this column")
        own.add_argument("--test", metavar="FILE", type=Path, help="a table that is tested on")
        own.add_argument("--splits", metavar="K", type=int, help="K splits instead of one")
        own.add_argument(
            "--drop-missing-target", action="store_true", help="leave out rows without a target"
        )

    listing = add("list", "list data sets, rungs and benchmarks", "rung list rungs")
    listing.add_argument(
        "what", nargs="?", choices=("all", "datasets", "rungs", "benchmarks"), default="all"
    )
    run = add("run", "run the ladder and print its boards", "rung run house.csv --target price")
    add_run(
        run,
        "a benchmark or a data set (quick), or data of your own: a .csv, .tsv or .parquet table, "
        ".npz with X and y, or a folder with a folder for each class of pictures or texts; several "
        "are run one after the other",
    )
    run.add_argument(
        "--budget", metavar="TIME", help="stop after 10m, say; cheap rungs and first seeds go first"
    )
    add_own(run)
    add_output(run)
    board = add(
        "board",
        "print the published boards, made from stored outcomes alone",
        "rung board imagenette --format markdown",
    )
    board.add_argument("names", nargs="*", metavar="DATASET", help="(all that are published)")
    board.add_argument(
        "--across",
        metavar="BENCHMARK",
        help="compare the rungs across its data sets: mean ranks, tests, critical difference",
    )
    board.add_argument("--results", type=Path, metavar="DIR", help="a folder of outcomes")
    add_metric(board)
    add_output(board)
    beat = add(
        "beat",
        "compare predictions of your own with the published board; status 0 only if they beat "
        "its best rung",
        "rung beat digits predictions.csv",
    )
    beat.add_argument("name", metavar="DATASET")
    beat.add_argument(
        "predictions",
        nargs="+",
        type=Path,
        metavar="FILE",
        help=".csv, .parquet or .npz: a column id, and prediction or one of probabilities for each "
        "class; several seeds as a column seed, columns prediction_1, ... or several files",
    )
    beat.add_argument("--results", type=Path, metavar="DIR", help="a folder of outcomes")
    add_metric(beat)
    add_format(beat)
    publish = add(
        "publish",
        "run what is not done yet, and write outcomes, boards and pictures to a folder",
        "rung publish quick --to results",
    )
    add_run(publish, "a benchmark or a data set (quick)")
    publish.add_argument("--to", type=Path, metavar="DIR", help="(results/ of the suite)")
    data = add(
        "data",
        "look at a data set; use your own copy of it; list its examples",
        "rung data ids digits",
    )
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, text in (
        ("add", "use a file or folder of yours as this data set's archive"),
        ("remove", "forget the copy that was added"),
        ("ids", "print the ids of the test part, as CSV"),
    ):
        action = actions.add_parser(name, help=text, description=text + ".")
        action.add_argument("name", metavar="NAME")
        cli_check.add_suite(action)
        if name == "add":
            action.add_argument("path", type=Path, metavar="FILE_OR_FOLDER")
    text = "look at a data set: classes, columns, lengths or sizes, samples, what looks wrong"
    describe = actions.add_parser(
        "describe",
        help=text,
        description=text[0].upper() + text[1:] + ". The test part is only counted.",
        epilog="example: rung data describe house.csv --target price --html house.html",
    )
    describe.add_argument("name", metavar="NAME_OR_PATH", help="as `rung run` takes it")
    cli_check.add_suite(describe)
    add_own(describe)
    describe.add_argument(
        "--format",
        choices=("table", "markdown", "json", "html"),
        default="table",
        help="what is printed (table)",
    )
    describe.add_argument(
        "--html", metavar="FILE", type=Path, help="write a page too, pictures and charts in it"
    )
    describe.add_argument(
        "--sheet", metavar="FILE", type=Path, help="write the sample pictures too, .png"
    )
    check = "look for mistakes in data, a model or the whole ladder; status 1 if there is an error"
    cli_check.add_actions(add("check", check, "rung check data house.csv --target price"), add_own)
    add_cache(add("cache", "show what is kept, prune it, clear it", "rung cache prune --keep 20GB"))
    return top


def add_cache(cache: argparse.ArgumentParser) -> None:
    from rung.cache import CACHED, KINDS

    actions = cache.add_subparsers(dest="action", metavar="ACTION")
    named = {}
    for name, text in (
        ("list", "show each thing that is kept"),
        ("prune", "remove what is stale, then what was not used for longest"),
        ("clear", f"remove {', '.join(CACHED)}, or those named"),
    ):
        action = named[name] = actions.add_parser(name, help=text, description=text + ".")
        cli_check.add_suite(action)
        if name != "prune":
            action.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}")
    named["prune"].add_argument(
        "--keep", metavar="SIZE", help="so much may stay, such as 20GB (all that is not stale)"
    )
    for shown, default in ((cache, "table"), (named["list"], argparse.SUPPRESS)):
        shown.add_argument(
            "--format", choices=("table", "json"), default=default, help="what is printed (table)"
        )


def main(argv: list[str] | None = None) -> int:
    """The exit status: 0 done, 1 the answer is no (a rung failed, or the baseline to beat is not
    beaten), 2 usage or input error."""
    top = parser()
    arguments = top.parse_args(argv)
    if arguments.version:
        from rung import __version__

        print(f"rung {__version__}")
        return DONE
    if arguments.command is None:
        top.print_help()
        return DONE
    for folder in arguments.suite:
        if not Path(folder).is_dir():
            return complain(f"--suite {folder}: there is no such folder")
    if arguments.suite:
        # Through the environment, so that worker processes find the same content.
        before = [p for p in os.environ.get("RUNG_SUITE", "").split(os.pathsep) if p]
        folders = [str(Path(p).resolve()) for p in arguments.suite]
        os.environ["RUNG_SUITE"] = os.pathsep.join([*folders, *before])
    try:
        with terminable(), notices() as not_kept:
            status = COMMANDS[arguments.command](arguments)
        if not_kept:
            cause = not_kept[0]
            return complain(f"{cause}; what is printed is right, but not all of it is kept")
        return status
    except RungError as error:
        return complain(str(error))
    except KeyboardInterrupt as stop:
        return stopped(stop)
    except BrokenPipeError:  # `rung list | head`
        sys.stderr.close()
        return DONE


@contextlib.contextmanager
def notices() -> Iterator[list[str]]:
    """Prints what the engine warns of, a plain line each; yields what to say of it at the end."""
    from rung.home import Notice, NotKept

    not_kept: list[str] = []
    with warnings.catch_warnings():
        show = warnings.showwarning

        def say(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, NotKept):
                not_kept.append(str(message))
            elif issubclass(category, Notice):
                print(f"rung: {' '.join(str(message).split())}", file=sys.stderr)
            else:
                show(message, category, filename, lineno, file, line)

        warnings.showwarning = say
        warnings.simplefilter("always", Notice)
        yield not_kept


def complain(message: str) -> int:
    print(f"rung: error: {' '.join(message.split())}", file=sys.stderr)
    return USAGE


def list_content(arguments: argparse.Namespace) -> int:
    from rung import suite

    def show(title: str, lines: list[tuple[str, str]]) -> None:
        width = max(len(name) for name, _ in lines)
        print(title)
        for name, text in lines:
            print(f"  {name:<{width}}  {text}")

    if arguments.what in ("all", "benchmarks"):
        entries = suite.entries("benchmarks").values()
        show("Benchmarks", [(e.name, e.doc) for e in entries])
    if arguments.what in ("all", "datasets"):
        show("Data sets", [(e.name, e.doc) for e in suite.entries("datasets").values()])
    if arguments.what in ("all", "rungs"):
        show("Rungs, lowest first", [(e.name, e.doc) for e in suite.ladder()])
    return DONE


# The options of `rung run` that only say something of data of a user's own.
OWN = (
    *("target", "text", "task", "modality", "group", "time", "test", "splits"),
    "drop_missing_target",
)


def found(name: str, arguments: argparse.Namespace) -> Benchmark | Dataset:
    """The benchmark of that name, or the data set in a file or folder of the user's own."""
    from rung import ladder

    if arguments.command == "run" and ladder.is_path(name):
        return named_data(name, arguments)
    benchmark = ladder.find(name)
    nothing_said(name, arguments)
    return benchmark


def said(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that say something of data of the user's own."""
    found = {option: getattr(arguments, option, None) for option in OWN}
    return {option: value for option, value in found.items() if value not in (None, False)}


def nothing_said(name: str, arguments: argparse.Namespace) -> None:
    """Raises RungError for an option that only data of the user's own can have."""
    for option in said(arguments):
        raise RungError(
            f"--{option.replace('_', '-')} is for data of your own; {name} has all of it declared"
        )


def climb(arguments: argparse.Namespace) -> list[Any]:
    from rung import ladder, quantities

    timeout, memory = arguments.trial_timeout, arguments.trial_memory
    budget = getattr(arguments, "budget", None)
    deadline = budget and time.monotonic() + quantities.seconds(budget, "--budget")
    options = {
        "baselines": arguments.baselines.split(",") if arguments.baselines else None,
        "seeds": arguments.seeds,
        "train_size": arguments.train_size,
        "jobs": arguments.jobs,
        "device": arguments.device,
        "precision": arguments.precision,
        "trial_timeout": timeout and quantities.seconds(timeout, "--trial-timeout"),
        "trial_memory": memory and quantities.size(memory, "--trial-memory", least=1),
        "scheduler": arguments.scheduler,
        "workers": arguments.workers,
        "level": getattr(arguments, "level", 0.95),
    }
    targets = [found(name, arguments) for name in arguments.names or [ladder.DEFAULT]]
    runs = []
    for target in targets:
        left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        runs.append(ladder.climb(target, budget=left, **options))
        if runs[-1].stopped is not None:
            break
    return runs


class Terminated(KeyboardInterrupt):
    """SIGTERM: the run ends as Ctrl-C ends it."""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM raises Terminated within."""

    def terminate(number: int, frame: object) -> NoReturn:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def stopped(stop: KeyboardInterrupt, how_to_go_on: str = "") -> int:
    print(f"rung: stopped{how_to_go_on}", file=sys.stderr)
    return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)


def run(arguments: argparse.Namespace) -> int:
    if arguments.plot is not None:
        from rung.render.page import check_picture

        check_picture(arguments.plot)
    runs = climb(arguments)
    boards = [board for run in runs for board in run.boards]
    show(boards, arguments)
    status = closing(runs)
    draw(boards, arguments)
    return status


def closing(runs: list[Any]) -> int:
    """Says what went wrong, and gives the exit status."""
    for run in runs:
        for note in run.notes:
            print(f"rung: {' '.join(note.split())}", file=sys.stderr)
    if runs[-1].stopped is not None:
        return stopped(runs[-1].stopped, "; finished trials are kept, run again to go on")
    if any(run.left_out for run in runs):
        return USAGE
    return NO if any(board.failures for run in runs for board in run.boards) else DONE


def show(boards: list[Board], arguments: argparse.Namespace) -> None:
    from rung.render import render

    print(render(boards, arguments.format, terminal_width()))


def draw(boards: list[Board], arguments: argparse.Namespace) -> None:
    """The boards as pictures, where asked for."""
    if arguments.plot is not None:
        from rung.render.plot import plot

        for board in boards:
            path: Path = arguments.plot
            if len(boards) > 1:
                path = path.with_stem(f"{path.stem}-{board.dataset['name']}")
            plot(board, path)
            print(f"rung: wrote {path}", file=sys.stderr)


def terminal_width() -> int | None:
    """Its columns, None where nothing is printed on a terminal."""
    return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else None


def board(arguments: argparse.Namespace) -> int:
    from rung import publish

    folder = arguments.results or publish.folder()
    if arguments.across is not None:
        return across(folder, arguments)
    boards = publish.boards(folder, arguments.names, arguments.level, arguments.metric)
    show(boards, arguments)
    draw(boards, arguments)
    return DONE


def across(folder: Path, arguments: argparse.Namespace) -> int:
    from rung import publish
    from rung.render.across import render

    unused = [*arguments.names, *(["--metric"] if arguments.metric else [])]
    if unused:
        raise RungError(
            f"--across {arguments.across} takes all data sets of the benchmark, by their primary "
            f"metrics; leave out {' '.join(unused)}"
        )
    compared = publish.across(folder, arguments.across, arguments.level)
    print(render(compared, arguments.format, terminal_width()))
    if arguments.plot is not None:
        from rung.render.critical_difference import plot

        plot(compared, arguments.plot)
        print(f"rung: wrote {arguments.plot}", file=sys.stderr)
    return DONE


def beat(arguments: argparse.Namespace) -> int:
    from rung import publish
    from rung.render.verdict import render

    folder = arguments.results or publish.folder()
    board = publish.boards(folder, [arguments.name], arguments.level, arguments.metric)[0]
    verdict = board.beat(arguments.predictions)
    print(render(verdict, arguments.format, terminal_width()))
    return DONE if verdict.beats else NO


def publish(arguments: argparse.Namespace) -> int:
    from rung import publish

    folder: Path = arguments.to or publish.folder()
    publish.writable(folder)
    runs = climb(arguments)
    if runs[-1].stopped is not None:
        return closing(runs)  # half a run is not published
    outcomes = [outcome for run in runs for outcome in run.outcomes]
    for path in publish.write(outcomes, folder):
        print(path)
    return closing(runs)


def data(arguments: argparse.Namespace) -> int:
    from rung import suite

    if arguments.action == "describe":
        return describe(arguments)
    entry = suite.get("datasets", arguments.name)
    if arguments.action == "ids":
        dataset = suite.load(arguments.name)
        write = csv.writer(sys.stdout, lineterminator="\n").writerow
        write(["id"])
        for row in dataset.splits[0].test:
            write([dataset.ids[row]])
        return DONE
    from rung import sources

    if arguments.action == "remove":
        sources.remove_local(arguments.name)
        return DONE
    added = sources.add_local(arguments.name, entry.load(), arguments.path)
    kind = "local copy" if added.local_copy else "the official archive"
    print(f"{added.name}: {len(added):,} examples, {kind}, fingerprint {added.fingerprint[:8]}")
    return DONE


def named_data(name: str, arguments: argparse.Namespace, lenient: bool = False) -> Dataset:
    """The data set of that name, or in that file or folder of the user's own.

    lenient: files of these that can't be read are left out and listed, for checks of data.
    """
    from rung import ladder, own, suite

    if ladder.is_path(name):
        return own.load(name, lenient=lenient, **said(arguments))
    suite.get("datasets", name)
    nothing_said(name, arguments)
    return suite.load(name)


def describe(arguments: argparse.Namespace) -> int:
    from rung.render import describe
    from rung.render.page import write

    found = named_data(arguments.name, arguments).describe()
    # Before anything is printed, so that a file that can't be written is one line.
    if arguments.sheet is not None:
        describe.sheet(found, arguments.sheet)
    if arguments.html is not None:
        write(arguments.html, describe.page(found).encode())
    print(describe.render(found, arguments.format, terminal_width()))
    for path in filter(None, (arguments.sheet, arguments.html)):
        print(f"rung: wrote {path}", file=sys.stderr)
    return DONE


def check(arguments: argparse.Namespace) -> int:
    passed = cli_check.run(arguments, named_data, terminal_width())
    return DONE if passed else NO


def cache(arguments: argparse.Namespace) -> int:
    from rung import cache, quantities
    from rung.render.cache import listed, removed, render

    if arguments.action is None:
        print(render(cache.kept(), arguments.format, terminal_width()))
    elif arguments.action == "list":
        items = cache.kept(cache.known(arguments.kinds) or cache.ALL)
        print(listed(items, arguments.format, terminal_width()))
    elif arguments.action == "prune":
        keep = None if arguments.keep is None else quantities.size(arguments.keep, "--keep")
        print(removed(cache.prune(keep)))
    else:
        print(removed(cache.clear(arguments.kinds)))
    return DONE


COMMANDS = {
    "list": list_content,
    "run": run,
    "board": board,
    "beat": beat,
    "publish": publish,
    "data": data,
    "check": check,
    "cache": cache,
}
