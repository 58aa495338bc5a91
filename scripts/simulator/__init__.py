"""The parts of `simulate.py`: its rounds, the load in real time, and the reports on a terminal and as a page."""
