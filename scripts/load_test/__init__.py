"""The servers that `load.py` puts under load, each a process of its own."""
