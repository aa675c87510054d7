"""What goes to the model beside the question: what it names with ``@``, and files."""

from .completing import Candidate, candidates
from .files import read_file
from .lookup import Cell, Lookup, Names
from .resolving import Context, notes, resolve

__all__ = [
    "Candidate",
    "Cell",
    "Context",
    "Lookup",
    "Names",
    "candidates",
    "notes",
    "read_file",
    "resolve",
]
