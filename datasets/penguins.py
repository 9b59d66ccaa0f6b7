"""Penguins: three species by bill, flipper, mass, sex and island (Horst, Hill and Gorman, 2020)."""

# The table beside this file is that of seaborn-data; values are missing in 11 rows.
from rung.sources import Table

dataset = Table(
    title="Penguins",
    path="penguins.csv",
    target="species",
    source="https://github.com/mwaskom/seaborn-data",
    licence="CC0",
    citation="doi:10.5281/zenodo.3960218",
)
