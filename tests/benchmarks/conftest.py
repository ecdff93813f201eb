"""The modules of the suite are importable by its own tests, as they are by its scripts."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
