"""German credit: whether a borrower is a good or a bad risk (Hofmann, 1994)."""

from rung.sources import Archive, Table

URL = "https://raw.githubusercontent.com/jbrownlee/Datasets/f430307f22e1127f25765343df5d097fc16f113e/german.csv"
NAMES = ["account", "months", "history", "purpose", "amount", "savings", "employed", "rate",
         "personal", "guarantors", "resident", "property", "age", "plans", "housing", "credits",
         "job", "liable", "telephone", "foreign", "risk"]  # fmt: skip
dataset = Table(
    title="German credit", archives=[Archive(URL, "8e2c6d456b3cda1f273bfbbbd73ece6c")],
    options={"header": None, "names": NAMES}, target="risk", classes={"1": "good", "2": "bad"},
    licence="CC BY 4.0", citation="doi:10.24432/C5NC77",
)  # fmt: skip
