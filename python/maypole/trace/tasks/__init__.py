"""Who waits for whom, and what becomes of tasks.

- `tree`: the tasks of a loop and what they wait for; `nodes` is what it is made of, `text` how it is printed;
- `waiting`: what one task waits for, read off its coroutine and its future;
- `deadlock`: circles of waiting;
- `births`: where and when tasks were made, noted while somebody wants to know;
- `lost`: tasks that were destroyed while they were pending.
"""
