"""The parts of `run.py`: building, running, measuring, and reporting."""
