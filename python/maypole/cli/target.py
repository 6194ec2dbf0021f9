"""Which words of a command line are ours, and which belong to the program that it runs."""

from __future__ import annotations

VALUED = {
    "run": ("--clock",),
    "trace": ("-o", "--output", "--perfetto", "--json", "--capacity", "--attach", "--seconds", "--clock"),
}
"""The verbs that run a program, and those of their options that take a value."""

BEHIND = ("-o", "--output", "--perfetto", "--json")
"""The options of ``trace`` that may stand behind the program's arguments too, at the very end."""


def split_target(argv: list[str]) -> tuple[list[str], list[str]]:
    """Divide the arguments of a command into ours, and the program with all that follows.

    >>> split_target(["run", "--clock", "virtual", "app.py", "--clock", "mine"])
    (['run', '--clock', 'virtual'], ['app.py', '--clock', 'mine'])
    >>> split_target(["run", "-mapp", "-h"])
    (['run'], ['-m', 'app', '-h'])
    >>> split_target(["trace", "app.py", "8000", "-o", "out.html"])
    (['trace', '-o', 'out.html'], ['app.py', '8000'])
    >>> split_target(["trace", "--", "app.py", "-o", "mine.txt"])
    (['trace'], ['app.py', '-o', 'mine.txt'])
    >>> split_target(["info"])
    (['info'], [])
    """
    if not argv or argv[0] not in VALUED:
        return argv, []
    valued = VALUED[argv[0]]
    position = 1
    while position < len(argv):
        word = argv[position]
        if word == "--":
            return argv[:position], argv[position + 1 :]
        if word.startswith("-m"):
            module = [word[2:]] if word[2:] else []
            return _take_what_is_behind(argv[:position], ["-m", *module, *argv[position + 1 :]])
        if word == "-" or not word.startswith("-"):
            return _take_what_is_behind(argv[:position], argv[position:])
        position += 2 if word in valued else 1
    return argv, []


def _take_what_is_behind(ours: list[str], target: list[str]) -> tuple[list[str], list[str]]:
    """Take our own options off the end of the program's arguments."""
    kept = 2 if target[0] == "-m" else 1
    while ours[0] == "trace":
        if len(target) >= kept + 2 and target[-2] in BEHIND:
            ours, target = [*ours, *target[-2:]], target[:-2]
        elif len(target) >= kept + 1 and target[-1].startswith(tuple(f"{name}=" for name in BEHIND[1:])):
            ours, target = [*ours, target[-1]], target[:-1]
        else:
            break
    return ours, target
