"""The shape of checks: what a family of them decides, reports in all forms, command and fixture."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import pictures, table, texts

from rung.checks import catalogue
from rung.checks.base import Check, Finding, Histograms, Images, Lines, NotApplicable, Severity
from rung.checks.data.subject import Data, DataCheck
from rung.checks.report import Report, examine
from rung.dataset import Dataset
from rung.describe import Histogram
from rung.render.checks import junit, page, render, text

pytest_plugins = ["pytester"]


def statistical(number: int, p: float) -> type[DataCheck]:
    class Statistical(DataCheck):
        """Tests something."""

        code = f"RC9{number:02}"
        title = "Nothing unusual"

        def run(self, data: Data) -> Finding:
            return Finding(f"measured {p}", p_value=p)

    return Statistical


class Certain(DataCheck):
    """Always finds the first two training rows & <says> so."""

    code = "RC990"
    title = "The first <two> rows differ"
    severity: Severity = "error"

    def run(self, data: Data) -> Finding:
        rows = data.train[:2]
        return Finding(
            "2 rows are <first>",
            "drop them",
            {"rows": 2},
            (data.shown("a pair", *rows),) * 30,
            (
                Lines("A line", [1, 10], {"a": [1, 2], "b": [2, 1]}, log_x=True, marks={"best": 3}),
                Histograms("Bars", {"x": Histogram.of(np.arange(9.0))}),
                Images("Squares", [np.zeros((8, 8, 3), np.uint8)], ["black"]),
            ),
        )


class Silent(DataCheck):
    """Finds nothing."""

    code, title = "RC991", "All is well"

    def run(self, data: Data) -> None:
        return None


class Needy(DataCheck):
    """Needs what nobody has."""

    code, title, needs = "RC992", "There is sound", ("sound|music", "classification")

    def run(self, data: Data) -> None:
        raise AssertionError("must not run")


class Unsuited(DataCheck):
    """Says itself that it can't."""

    code, title = "RC993", "Dates are in order"

    def run(self, data: Data) -> None:
        raise NotApplicable("there are no dates")


class Slow(DataCheck):
    """Takes long."""

    code, title, slow = "RC994", "All pairs differ", True

    def run(self, data: Data) -> Finding:
        return Finding("it ran")


class Broken(DataCheck):
    """Has a defect."""

    code, title = "RC995", "Nothing breaks"

    def run(self, data: Data) -> None:
        raise ZeroDivisionError("by nothing")


class Tells(DataCheck):
    """Measures."""

    code, title = "RC996", "How large it is"
    severity: Severity = "info"

    def run(self, data: Data) -> Finding:
        return Finding(f"{len(data.train)} rows")


ALL: list[type[Check[Any]]] = [Certain, Silent, Needy, Unsuited, Slow, Broken, Tells]


def report(dataset: Dataset | None = None, **options: Any) -> Report:
    data = Data(dataset or table())
    return examine("mine", options.pop("checks", ALL), data, **options)


def test_each_outcome_of_a_check_has_its_status() -> None:
    found = report()
    assert {r.code: r.status for r in found.results} == {
        "RC990": "found",
        "RC991": "passed",
        "RC992": "not applicable",
        "RC993": "not applicable",
        "RC994": "left out",
        "RC995": "broke",
        "RC996": "found",
    }
    assert found["RC992"].reason == "needs sound or music"
    assert found["RC993"].reason == "there are no dates"
    assert found["RC995"].reason == "ZeroDivisionError: by nothing"
    assert [r.code for r in found.errors] == ["RC990"]
    assert [r.code for r in found.told] == ["RC996"]
    assert found.warnings == []
    assert not found.ok
    assert report(slow=True)["RC994"].alarms
    assert report(checks=[Silent, Tells]).ok
    assert not report(checks=[Silent, Broken]).ok


def test_a_finding_can_have_a_severity_of_its_own() -> None:
    class Milder(Certain):
        """Milder than its kind."""

        code = "RC997"

        def run(self, data: Data) -> Finding:
            return dataclasses.replace(super().run(data), severity="info")

    assert report(checks=[Milder]).errors == []


def test_the_family_of_statistical_checks_is_corrected_together() -> None:
    # Alone .004 alarms at .01; as one of five it does not, .001 does.
    lone = report(checks=[statistical(1, 0.004)])
    assert lone["RC901"].status == "found"
    assert lone["RC901"].p_value == 0.004
    checks = [statistical(i, p) for i, p in enumerate([0.004, 0.001, 0.5, 0.6, 0.7])]
    many = report(checks=[*checks, Certain])
    assert [r.status for r in many.results] == ["passed", "found", *["passed"] * 3, "found"]
    assert many["RC900"].p_value == pytest.approx(0.016)
    assert many["RC990"].p_value is None
    assert report(checks=checks, false_alarms=0.02)["RC900"].status == "found"


def test_healthy_subjects_alarm_as_often_as_is_said() -> None:
    rng = np.random.default_rng(0)
    data = table()
    alarms = [
        any(
            r.alarms
            for r in report(
                data,
                checks=[statistical(i, p) for i, p in enumerate(rng.random(6))],
                false_alarms=0.1,
            ).results
        )
        for _ in range(600)
    ]
    assert 0.06 < np.mean(alarms) < 0.14  # .1, give or take three standard errors


def test_without_a_check_to_run_there_is_an_error() -> None:
    from rung.errors import RungError

    with pytest.raises(RungError, match="none is of its kind"):
        report(checks=[])


@pytest.mark.parametrize("make", [table, texts, pictures])
def test_every_form_says_what_was_found(make: Callable[[], Dataset]) -> None:
    found = report(make())
    shown = text(found)
    first = found["RC990"].finding.examples[0].samples[0].id  # type: ignore[union-attr]
    for said in ("1 error", "2 rows are <first>", "drop them", first, "ZeroDivisionError", "RC991"):
        assert said in shown
    assert "and 27 more" in shown
    plain = json.loads(render([found], "json"))
    assert plain["ok"] is False
    assert plain["schema"] == 1
    assert plain["results"][0]["examples"][0]["samples"][0]["id"] == first
    html = page([found])
    for said in ("2 rows are &lt;first&gt;", "drop them", "A line", "<svg", "And 6 more"):
        assert said in html
    assert "<first>" not in html
    assert not re.search(r"""(src|href)=["']?http|@import|url\(http""", html)


def test_reports_of_several_subjects_stand_in_one_page_and_one_list() -> None:
    both = [report(), report(checks=[Silent])]
    assert len(json.loads(render(both, "json"))) == 2
    assert page(both).count("<h1>") == 2
    assert page(both).count('href="#report-') == 2
    assert page(both).count("<html") == 1


def test_junit_counts_errors_as_failures_and_what_did_not_run_as_skipped() -> None:
    suite = ElementTree.fromstring(junit([report()]).partition("\n")[2])[0]
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "7", "failures": "1", "errors": "1", "skipped": "3"}
    cases = {case.get("name", "")[:5]: [part.tag for part in case] for case in suite}
    assert cases["RC990"] == ["failure"]
    assert cases["RC991"] == []
    assert cases["RC992"] == ["skipped"]
    assert cases["RC995"] == ["error"]
    assert cases["RC996"] == ["system-out"]


def test_junit_is_xml_whatever_a_model_raised() -> None:
    class Coloured(Silent):
        code = "RC997"

        def run(self, data: Any) -> Any:
            raise NotApplicable("\x1b[31mno\x1b[0m")

    found = dataclasses.replace(report(checks=[Coloured]), subject="a\x1b[1mb")
    ElementTree.fromstring(junit([found]).partition("\n")[2])


def test_json_is_the_same_in_every_run() -> None:
    assert report().to_json() == report().to_json()


@pytest.mark.parametrize("kind", catalogue.KINDS)
def test_every_check_is_documented_and_has_a_code_of_its_kind(kind: str) -> None:
    found = catalogue.checks(kind)
    assert len(found) >= 5
    for check in found:
        assert check.code.startswith(f"RC{catalogue.KINDS.index(kind) + 1}")
        assert check.title
        assert not check.title.endswith(".")
        assert len((check.__doc__ or "").split()) >= 8, check.code
        assert check.severity in ("error", "warning", "info")


# --- The command ------------------------------------------------------------------------------

Rung = Callable[..., subprocess.CompletedProcess[str]]


def test_the_command_exits_with_1_if_there_is_an_error(rung: Rung, tmp_path: Any) -> None:
    rows = [f"{i % 7 + i / 100:.3f},{i * 13 % 11},{'ab'[i % 2]}" for i in range(80)]
    leak = [f"{row},{row[-1]}" for row in rows]
    for name, lines in (("fine", rows), ("leaks", leak)):
        head = "x,z,target" if name == "fine" else "x,z,target,copy"
        (tmp_path / f"{name}.csv").write_text("\n".join([head, *lines]))
    fine = rung("check", "data", tmp_path / "fine.csv", "--format", "json")
    assert fine.returncode == 0, fine.stdout + fine.stderr
    assert json.loads(fine.stdout)["ok"] is True
    leaks = rung("check", "data", tmp_path / "leaks.csv", "--html", tmp_path / "leaks.html")
    assert leaks.returncode == 1, leaks.stdout
    assert "copy" in leaks.stdout
    assert "copy" in (tmp_path / "leaks.html").read_text()


def test_the_command_says_bad_input_in_one_line(rung: Rung, tmp_path: Any) -> None:
    (tmp_path / "mine.py").write_text("def make(wings): ...\nthing = 3\n")
    (tmp_path / "torn.py").write_text("def make(:\n")
    (tmp_path / "random.py").write_text("1 / 0\n")  # the name of another module
    for arguments, said in (
        (["data", "digts"], "digits"),
        (["data", "digits", "--only", "RC999"], "RC"),
        (["data", "digits", "--only", "RC2"], "none is of its kind"),
        (["data", "digits", "--false-alarms", "2"], "share"),
        (["data", "digits", "--rung", "linaer"], "linear"),
        (["model", "linaer", "--data", "digits"], "linear"),
        (["model", "nowhere:make", "--data", "digits"], "can't be imported"),
        (["model", f"{tmp_path}/none.py:make", "--data", "digits"], "no file"),
        (["model", f"{tmp_path}/torn.py:make", "--data", "digits"], "SyntaxError"),
        (["model", f"{tmp_path}/random.py:make", "--data", "digits"], "ZeroDivisionError"),
        (["model", f"{tmp_path}/mine.py:mak", "--data", "digits"], "make"),
        (["model", f"{tmp_path}/mine.py:make", "--data", "digits"], "wings"),
        (["model", f"{tmp_path}/mine.py:thing", "--data", "digits"], "int"),
    ):
        done = rung("check", *arguments)
        assert done.returncode == 2, (arguments, done.stdout, done.stderr)
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert said in done.stderr


def test_checks_are_listed_and_explained(rung: Rung) -> None:
    listed = rung("check", "list").stdout
    for kind in catalogue.KINDS:
        for check in catalogue.checks(kind):
            assert check.code in listed
    first = catalogue.checks("data")[0]
    assert first.title in rung("check", "list", first.code).stdout


# --- The fixture ------------------------------------------------------------------------------


def test_the_fixture_fails_the_test_of_a_model_with_an_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        from sklearn.dummy import DummyClassifier
        from sklearn.linear_model import LogisticRegression

        def test_fine(rung_check):
            report = rung_check(LogisticRegression, data="digits", only=["RC201", "RC202"])
            assert report["RC202"].status != "not applicable"

        def test_blind(rung_check):
            rung_check(DummyClassifier, data="digits", only=["RC202"])

        def test_data(rung_check):
            assert rung_check(data="digits", only=["RC12"]).ok
        """)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*RC202*"])
