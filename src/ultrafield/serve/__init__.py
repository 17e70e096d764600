"""The warm worker of one user: `run` hands its job to it where one runs."""
