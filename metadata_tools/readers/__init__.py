"""How published data sets are read: the protocol, the names of stems, the common command line."""
