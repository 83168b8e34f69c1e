"""Tags the wheel with the platform of the program in it."""

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Platform(BuildHookInterface):
    """WHEEL_PLATFORM is that of the program, such as manylinux_2_31_x86_64."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Set the wheel's tag: any Python 3, and this platform."""
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{os.environ['WHEEL_PLATFORM']}"
