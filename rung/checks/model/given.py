"""A model as its owner hands it over, as something that makes estimators."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import inspect
import os
import random
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from rung.baseline import Baseline, Needs
from rung.benchmark import Variant
from rung.dataset import Dataset
from rung.errors import RungError, unknown

if TYPE_CHECKING:
    from torch import nn

# What a factory may take, by name: the training part, or what it says of the model's ends.
SEEDS = ("seed", "random_state")
ARGUMENTS = ("dataset", *SEEDS, "n_features", "n_classes", "n_outputs", "shape")


@dataclass(frozen=True, eq=False)
class Given:
    """A factory of models. make: (the training part as a rung is shown it, seed) → an estimator of
    scikit-learn's kind or a torch module. needs, px: what it is fed, as of a `Baseline`; needs ""
    is the default of its kind."""

    name: str
    make: Callable[[Dataset, int], Any]
    needs: Needs | str = ""
    px: int = 32


def given(model: Any, needs: Needs | str = "", px: int | None = None) -> Given:
    """model: the name of a rung, "MODULE:FACTORY", "FILE.py:FACTORY", a `Baseline`, a factory or
    class, an estimator, which is cloned, or what this made. A factory takes nothing, or by name any of ARGUMENTS.

    Raises RungError for what is none of these.
    """
    if isinstance(model, Given):
        return model
    if isinstance(model, str):
        model, name = (found(model), model)
    else:
        name = getattr(model, "__name__", None) or type(model).__name__
    if isinstance(model, Baseline):
        return Given(model.title, model.make, needs or model.needs, px or model.px)
    if is_net(model) and not hasattr(model, "fit"):
        raise RungError(
            f"{name} is a module that is made; give its class, or what makes a fresh one"
        )
    if hasattr(model, "fit") and not inspect.isclass(model):
        estimator = model

        def make(dataset: Dataset, seed: int) -> Any:
            return seeded_estimator(clone(estimator), seed)

        return Given(name, make, needs, px or 32)
    if not callable(model):
        raise RungError(
            f"{name} is no estimator and no function that makes one, but {type(model).__name__}"
        )
    return Given(name, called(model, name), needs, px or 32)


def found(name: str) -> Any:
    """What MODULE:FACTORY or FILE.py:FACTORY names, or the rung of that name."""
    from rung import suite

    place, _, attribute = name.rpartition(":")
    if not place:
        try:
            return suite.baseline(name)
        except RungError as error:
            raise RungError(f"{error}; or say MODULE:FACTORY or FILE.py:FACTORY") from None
    module = imported(place)
    try:
        return getattr(module, attribute)
    except AttributeError:
        public = [n for n in vars(module) if not n.startswith("_")]
        raise unknown(f"factory in {place}", attribute, public) from None


def imported(place: str) -> Any:
    """The module of that name, or in that file; its folder, or the current one, comes first on the
    path. Raises RungError if it can't be imported, whatever the reason."""
    path = Path(place)
    is_file = path.suffix == ".py"
    if is_file and not path.is_file():
        raise RungError(f"there is no file {place}")
    folder = str(path.resolve().parent) if is_file else os.getcwd()
    sys.path.insert(0, folder)
    try:
        if not is_file:
            return importlib.import_module(place)
        # By its place, since its name may be that of another module: random.py, say.
        spec = importlib.util.spec_from_file_location(f"checked_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # for what is pickled
        spec.loader.exec_module(module)
        return module
    except (Exception, SystemExit) as error:
        raise RungError(
            f"{place} can't be imported ({type(error).__name__}: {error}); say a module or "
            "FILE.py that can"
        ) from error
    finally:
        sys.path.remove(folder)


def called(factory: Callable[..., Any], name: str) -> Callable[[Dataset, int], Any]:
    """The factory as a function of the training part and a seed."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except ValueError:  # some written in C have none
        parameters = {}.values()
    takes = {p.name for p in parameters if p.name in ARGUMENTS}
    for parameter in parameters:
        required = parameter.default is inspect.Parameter.empty and parameter.kind not in (
            inspect.Parameter.VAR_POSITIONAL,
            inspect.Parameter.VAR_KEYWORD,
        )
        if required and parameter.name not in ARGUMENTS:
            raise RungError(
                f"{name} needs the argument {parameter.name!r}, which is not known; a factory "
                f"takes nothing, or any of {', '.join(ARGUMENTS)}"
            )
    # Defaults of the classes of others mean something; only a factory's own seed is set.
    if inspect.isclass(factory):
        takes = {p.name for p in parameters if p.name in takes and p.default is p.empty}

    def make(dataset: Dataset, seed: int) -> Any:
        classes = max(dataset.n_classes, 1)
        shape = tuple(np.shape(dataset.X)[1:])
        known: dict[str, Any] = {
            "dataset": dataset,
            **dict.fromkeys(SEEDS, seed),
            "n_features": int(np.prod(shape)),
            "n_classes": classes,
            "n_outputs": classes,
            "shape": shape,
        }
        made = factory(**{k: v for k, v in known.items() if k in takes})
        return made if takes.intersection(SEEDS) else seeded_estimator(made, seed)

    return make


def seeded_estimator(estimator: Any, seed: int) -> Any:
    """An estimator with its seeds set that has them as parameters and left at None."""
    if hasattr(estimator, "get_params") and hasattr(estimator, "set_params"):
        unset = {
            name: seed
            for name, value in estimator.get_params().items()
            if name.rpartition("__")[2] == "random_state" and value is None
        }
        return estimator.set_params(**unset)
    return estimator


def with_parameters(baseline: Baseline, variant: Variant) -> Baseline:
    """The rung as a benchmark runs it."""
    make = functools.partial(baseline.make, **variant.parameters)
    return dataclasses.replace(baseline, make=make, px=variant.px or baseline.px)


@contextlib.contextmanager
def seeds(seed: int) -> Iterator[None]:
    """All global random state as it is after seeding with `seed`; afterwards as it was.

    Denormal numbers count as zero within: nets that have learnt all there is are full of them, and
    then take twenty times as long.
    """
    before, numpy_before = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    with contextlib.ExitStack() as stack:
        if "torch" in sys.modules:
            import torch

            from rung.training import seeded

            stack.enter_context(seeded(seed))
            if (torch.tensor(1e-40) * 1).item() != 0 and torch.set_flush_denormal(True):
                stack.callback(torch.set_flush_denormal, False)
        try:
            yield
        finally:
            random.setstate(before)
            np.random.set_state(numpy_before)


def raised(error: BaseException) -> str:
    """An exception in one line, and where in the user's code it arose."""
    said = " ".join(str(error).split())
    line = f"{type(error).__name__}: {said}" if said else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not of_library(frame.filename)]
    if not own:
        return line
    where = own[-1]
    return f"{line} (in {where.name}, {Path(where.filename).name} line {where.lineno})"


def of_library(path: str) -> bool:
    """Whether a file is no user's: of Python, of an installed package or of this one."""
    folders = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    engine = str(Path(__file__).resolve().parents[2])
    return path.startswith(("<", engine, *folders))


def is_net(model: Any) -> bool:
    """Whether it is a torch module; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


def nets_of(estimator: Any) -> list[nn.Module]:
    """The torch modules that a fitted estimator keeps as attributes."""
    found = [estimator] if is_net(estimator) else list(getattr(estimator, "__dict__", {}).values())
    return [value for value in found if is_net(value)]
