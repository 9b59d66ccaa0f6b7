"""What must work in the environment before it is used."""

import autosklearn.classification
import autosklearn.regression  # noqa: F401
