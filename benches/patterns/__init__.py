"""Patterns against other libraries: what each gets wrong, and what each costs."""
