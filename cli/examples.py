"""Where the examples are: in the clone beside the packages, in an installed wheel inside this one."""

from importlib import resources
from pathlib import Path


def examples_folder() -> Path:
    """Return the folder of the examples."""
    here = Path(str(resources.files("cli")))
    installed = here / "examples"
    return installed if installed.is_dir() else here.parent / "examples"
