"""What the store stands on: the file, its rows, who writes them, and what is left of a broken one."""
