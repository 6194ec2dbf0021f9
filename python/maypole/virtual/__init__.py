"""What the virtual clock needs besides the loop: the errors that stop a run, and the parts that see real
time.

- `stops`: `Deadlock`, `Spin` and `Hang`, each naming task and line;
- `hang_watch`: finds code that keeps the loop from its next turn;
- `outstanding`: knows what still runs outside the loop, so that the clock does not jump ahead of it;
- `time_module`: makes the clocks of the `time` module follow a loop.

Nothing here knows which loop it serves. `maypole.testing` builds on it for users.
"""
