"""conf/ of a checkout under the name that it has in a wheel: `pkg://vae_lightning.conf` in a search path of Hydra.

In a wheel the folder lies in the package, and Python finds it before this file.
"""

import importlib.util
import sys

from vae_lightning.options import CONF

_spec = importlib.util.spec_from_file_location(__name__, CONF / "__init__.py", submodule_search_locations=[str(CONF)])
assert _spec is not None  # it is a .py
sys.modules[__name__] = importlib.util.module_from_spec(_spec)  # the import hands this one over
