"""Devices that are not there: facts about them, and XLA's compilers for them."""
