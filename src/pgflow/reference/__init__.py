"""Working on a schema `pgflow` that the reference's own migrations have made.

::

    Core          which functions and columns a database has, and what becomes of a call there
    procedures    calls that become several: starting, fetching, reporting
    registering   those that register a flow
    inline        a call of a function that isn't installed, as a statement
    sources       the functions that `sql/reference` has
    adoption      installs them, and removes them again

Nothing here is used on a schema that `pgflow migrate` has made.
"""

from pgflow.reference.adoption import Adoption, adopt, is_adopted, remove, render
from pgflow.reference.core import DETECTION_QUERY, Core, detect
from pgflow.reference.steps import Steps

__all__ = [
    "DETECTION_QUERY",
    "Adoption",
    "Core",
    "Steps",
    "adopt",
    "detect",
    "is_adopted",
    "remove",
    "render",
]
