"""20 Newsgroups, split by date: which group a message was posted to; headers are kept (Lang, 1995)."""

# Headers, footers and quotes are in the texts, as in scikit-learn's fetch_20newsgroups() by default.
from rung.sources import Archive, TextFolder

URL = "http://qwone.com/~jason/20Newsgroups/20news-bydate.tar.gz"
REPACKED = {"20news-bydate.tar.gz": "3e7511b33a22e15a831f44dca6cd58c9"}
dataset = TextFolder(
    title="20 Newsgroups",
    archives=[Archive(URL, "d6e9e45cb8cb77ec5276dfa6dfc14318", REPACKED)],
    encoding="latin-1",
    licence="none stated",
    citation="Lang, NewsWeeder: learning to filter netnews, ICML 1995",
)
