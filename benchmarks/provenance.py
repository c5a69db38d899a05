"""With what, where and on which commit something was measured."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import torch


def provenance() -> dict[str, str]:
    """Command, commit, machine and versions of this process; of a path that is not relative its name alone."""
    info = Path("/proc/cpuinfo")
    cpu = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    here = Path(__file__).parent
    git = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=here)
    return {
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *map(told, sys.argv[1:])]),
        "commit": git.stdout.strip(),
        "machine": f"{cpu[1] if cpu else platform.processor()}, {os.cpu_count()} cores, {platform.system()}",
        "versions": f"Python {platform.python_version()}, torch {torch.__version__}",
    }


def told(argument: str) -> str:
    """An argument, without the folders in which one machine keeps its files."""
    return Path(argument).name if Path(argument).is_absolute() else argument
