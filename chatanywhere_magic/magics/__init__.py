"""The magics, one module for each family."""
