"""Checks of data: broken, doubled, leaking, mislabelled or oddly distributed examples."""
