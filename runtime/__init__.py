"""Switchboard: a declarative runtime for voice agents on the telephone.

`CallContext` is all that a tool module ever needs from here, so importing this package must stay as cheap
as importing one dataclass.
"""

from runtime.context import CallContext

__all__ = ["CallContext"]
