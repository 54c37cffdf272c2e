"""The hub's own rules, registered through the hooks like anyone's (H1).

What the source documents describe is policy: rows of the matrix and rules as data. A rule in code is for what data
cannot say; the hub ships none yet, and this module keeps the door open for its own as for a stranger's.
"""

from __future__ import annotations
