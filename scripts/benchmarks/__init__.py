"""The parts of `bench.py` and `bench_speech.py`: what is measured, on what, and how a figure is shown."""
