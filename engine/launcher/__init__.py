"""Sets the program up and starts it. Runs before anything is installed: standard library only."""
