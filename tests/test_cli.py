"""The command as a user meets it: real processes, real bad input."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, write_table

Rung = Callable[..., subprocess.CompletedProcess[str]]


def one_line(done: subprocess.CompletedProcess[str], *says: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("rung: error: ")
    for word in says:
        assert word in done.stderr


def test_help_of_every_command_shows_an_example(rung: Rung) -> None:
    top = rung("--help")
    assert top.returncode == 0
    for command in ("list", "run", "board", "beat", "publish", "data", "cache"):
        assert command in top.stdout
        page = rung(command, "--help")
        assert page.returncode == 0
        assert f"example: rung {command}" in page.stdout


def test_version(rung: Rung) -> None:
    from rung import __version__

    assert rung("--version").stdout == f"rung {__version__}\n"


def test_list_shows_names_and_first_lines(rung: Rung) -> None:
    done = rung("list")
    assert "imagenette_mini" in done.stdout
    assert "The input-independent baseline" in done.stdout
    assert "Rungs" not in rung("list", "datasets").stdout


def test_listing_imports_nothing_heavy(rung: Rung) -> None:
    code = (
        "import sys; from rung.cli import main; main(['list']);"
        "print([m for m in ('torch', 'sklearn', 'pandas', 'scipy', 'joblib') if m in sys.modules])"
    )
    import sys

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "imagenete"], ["imagenette"]),
        (["run", "digits", "--baselines", "priors"], ["no rung named 'priors'", "prior"]),
        (["run", "digits", "--seeds", "0"], ["--seeds"]),
        (["run", "digits", "--seeds", "many"], ["--seeds", "--help"]),
        (["run", "digits", "--jobs", "0"], ["--jobs"]),
        (["run", "digits", "--level", "95"], ["--level", "0.95"]),
        (["run", "digits", "--trial-timeout", "0s"], ["--trial-timeout 0s"]),
        (["run", "digits", "--trial-memory", "0"], ["--trial-memory 0"]),
        (["run", "digits", "--plot", "b.pdf"], ["b.pdf", ".svg"]),
        (["publish", "digits", "--to", "/dev/null"], ["/dev/null is no folder"]),
        (["run", "digits", "--device", "tpu"], ["no device 'tpu'"]),
        (["run", "digits", "--device", "cuda:x"], ["no device"]),
        (["run", "digits", "--precision", "fp8"], ["no precision"]),
        (["run", "digits", "--device", "cpu", "--precision", "fp16"], ["needs a GPU"]),
        (["run", "diabetes", "--baselines", "random_patches"], ["applies"]),
        (["run", "--suite", "/no/such/folder"], ["no such folder"]),
        (["board", "digit"], ["published"]),
        (["board", "--results", "."], ["nothing is published"]),
        (["board", "digits", "--level", "95"], ["--level", "0.95"]),
        (["data", "ids", "digit"], ["did you mean digits"]),
        (["data", "add", "imagenette", "nowhere.tgz"], ["nowhere.tgz"]),
        (["cache", "prune", "--keep", "abc"], ["--keep abc", "20GB"]),
        (["cache", "prune", "--keep", "20"], ["--keep 20", "unit"]),
        (["cache", "prune", "--keep", "-1GB"], ["--keep", "--help"]),
        (["cache", "clear", "trial"], ["did you mean trials"]),
        (["cache", "empty"], ["empty", "--help"]),
        (["climb"], ["--help"]),
    ],
)
def test_bad_input_is_one_line(rung: Rung, arguments: list[str], says: list[str]) -> None:
    one_line(rung(*arguments), *says)


def test_no_gpu_is_said(rung: Rung) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    one_line(rung("run", "digits", "--device", "cuda"), "no CUDA GPU", "--device cpu")


def test_unwritable_home_is_said(rung: Rung, home: Path) -> None:
    home.write_text("a file where the folder should be")
    one_line(rung("run", "digits"), "can't write", "RUNG_HOME")


@pytest.mark.parametrize(
    ("cells", "says"),
    [("1,inf,2,no", "b"), ("1,2,3,rare", "one example")],
)
def test_bad_tables_are_named(rung: Rung, suite_folder: Path, cells: str, says: str) -> None:
    write_table(suite_folder)
    csv = suite_folder / "datasets" / "mine.csv"
    csv.write_text(csv.read_text() + cells + "\n")
    done = rung("run", "mine", "--suite", suite_folder, "--baselines", "prior")
    one_line(done, "mine" if says == "one example" else "row 60")


def test_home_is_private(rung: Rung, home: Path, suite_folder: Path) -> None:
    write_table(suite_folder)
    rung("run", "mine", "--suite", suite_folder, "--baselines", "prior")
    assert home.stat().st_mode & 0o777 == 0o700


def test_ids_are_those_of_the_test_part(rung: Rung) -> None:
    lines = rung("data", "ids", "digits").stdout.splitlines()
    assert lines[0] == "id"
    assert len(lines) == 501
    assert len(set(lines)) == 501


def test_a_suite_may_be_named_on_either_side_of_the_action(rung: Rung, suite_folder: Path) -> None:
    write_table(suite_folder)
    before = rung("data", "--suite", suite_folder, "ids", "mine")
    after = rung("data", "ids", "mine", "--suite", suite_folder)
    assert before.stdout == after.stdout
    assert before.stdout.startswith("id\n")


def test_nothing_is_published_beside_what_it_can_not_be_compared_with(
    rung: Rung, suite_folder: Path, tmp_path: Path
) -> None:
    write_table(suite_folder)
    publish = ("publish", "mine", "--suite", suite_folder, "--to", tmp_path / "published")
    assert rung(*publish, "--baselines", "prior,random").returncode == 0
    before = {p: p.read_bytes() for p in (tmp_path / "published").rglob("*") if p.is_file()}
    table = suite_folder / "datasets" / "mine.csv"
    table.write_text(table.read_text().replace("1", "2"))
    done = rung(*publish, "--baselines", "prior")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "remove what is old" in done.stderr.splitlines()[-1]
    assert "nothing was written" in done.stderr.splitlines()[-1]
    assert before == {p: p.read_bytes() for p in (tmp_path / "published").rglob("*") if p.is_file()}


def test_a_picture_that_can_not_be_written_costs_no_board(rung: Rung) -> None:
    done = rung("board", "digits", "--plot", "/dev/null/b.png")
    assert done.returncode == 2
    assert "To beat" in done.stdout
    assert done.stderr.startswith("rung: error: can't write /dev/null/b.png")


def test_publishing_what_did_not_run_says_why(rung: Rung, tmp_path: Path) -> None:
    done = rung("publish", "digits", "--baselines", "auto_sklearn", "--to", tmp_path / "new")
    assert done.returncode == 2
    assert "nothing to publish: auto_sklearn is not run here" in done.stderr
    assert not (tmp_path / "new").exists()


def test_publish_and_board_agree(rung: Rung, suite_folder: Path, tmp_path: Path) -> None:
    write_table(suite_folder)
    to = tmp_path / "published"
    done = rung(
        "publish", "mine", "--suite", suite_folder, "--to", to, "--baselines", "random,prior"
    )
    assert done.returncode == 0, done.stderr
    page = (to / "README.md").read_text()
    assert "Mine" in page
    assert "](mine/board.svg)" in page
    assert (to / "mine" / "board.svg").exists()
    ran = json.loads(
        rung(
            "run",
            "mine",
            "--suite",
            suite_folder,
            "--format",
            "json",
            "--baselines",
            "random,prior",
        ).stdout
    )
    read = json.loads(rung("board", "mine", "--results", to, "--format", "json").stdout)
    assert read == ran
    for form, word in (("markdown", "| rank |"), ("csv", "dataset,rung"), ("html", "<table>")):
        assert word in rung("board", "mine", "--results", to, "--format", form).stdout
    picture = tmp_path / "b.png"
    assert rung("board", "--results", to, "--plot", picture).returncode == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_damaged_result_is_named(rung: Rung, suite_folder: Path, tmp_path: Path) -> None:
    write_table(suite_folder)
    to = tmp_path / "published"
    rung("publish", "mine", "--suite", suite_folder, "--to", to, "--baselines", "prior")
    path = to / "mine" / "prior.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    one_line(rung("board", "mine", "--results", to), str(path), "damaged")
    again = rung("publish", "mine", "--suite", suite_folder, "--to", to, "--baselines", "prior")
    assert again.returncode == 0, again.stderr
    assert rung("board", "mine", "--results", to).returncode == 0


def test_published_boards_are_printed(rung: Rung) -> None:
    done = rung("board")
    assert done.returncode == 0, done.stderr
    for name in ("Imagenette", "Fashion-MNIST", "Digits", "Diabetes"):
        assert name in done.stdout
    assert "To beat:" in done.stdout


def test_published_page_is_made_from_the_outcomes_alone() -> None:
    from rung import publish

    page = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    assert publish.readme(ROOT / "results") == page
