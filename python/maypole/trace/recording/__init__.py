"""Recordings: what loops do, event by event, as documents of the trace format.

- `record`: the context manager for users;
- `one_loop`: the recording of one loop, with the garbage collector's pauses and the jobs of its executors;
- `all_loops`: the recording of every loop that runs meanwhile;
- `documents`: what the native half leaves out of a document, and several documents as one;
- `outputs`: where recordings are written to.
"""
