"""What `run.py` is made of: building, running, measuring, and writing down."""
