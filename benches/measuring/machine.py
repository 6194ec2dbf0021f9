"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from pathlib import Path


def describe() -> dict[str, object]:
    """CPU, kernel, Python and load of this machine, for the report."""
    flags = sysconfig.get_config_var("CONFIG_ARGS") or ""
    optimised = [word for word in ("--enable-optimizations", "--with-lto") if word in flags]
    return {
        "cpu": cpu_model(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "libc": " ".join(platform.libc_ver()),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "python_build": " ".join(optimised) or "built without --enable-optimizations and --with-lto",
        "python_path": sys.executable,
        "load_average": load_average(),
        "governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "not told",
    }


def cpu_model() -> str:
    """The CPU's name as the kernel tells it."""
    for line in read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "not told"


def load_average() -> float:
    """Processes that wanted to run, on average over the last minute."""
    return os.getloadavg()[0]


def read(path: str) -> str:
    """The text of a file, or an empty string when it cannot be read."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
