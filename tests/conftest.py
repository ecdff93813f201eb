"""What all tests share: this folder is importable, so that every backend's test can
inherit backend_contract.BackendContract.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("backend_contract")
