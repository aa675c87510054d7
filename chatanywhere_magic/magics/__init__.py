"""The magics that a person types, one module a family."""
