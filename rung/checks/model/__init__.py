"""Checks of a model that fits and predicts: does it learn, repeat, and answer each example alone?"""
