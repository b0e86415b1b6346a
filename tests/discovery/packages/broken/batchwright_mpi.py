"""An engine whose own dependency is missing."""

import mpi_that_nobody_installed  # noqa: F401
