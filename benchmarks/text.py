"""Texts: news, questions, sentences of reviews and messages, three seeds."""

from rung import Benchmark

benchmark = Benchmark(datasets=["newsgroups20", "trec", "sst2", "sms_spam"], seeds=3)
