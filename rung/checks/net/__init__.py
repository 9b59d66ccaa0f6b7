"""Checks of torch nets and of the loops that train them."""
