"""The parts of `model_check.py`: a turn as a model, each of its states visited, real actors taken the same ways."""
