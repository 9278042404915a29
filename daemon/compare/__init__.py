"""`znoded compare`: local ensembles of several kinds under the same load and the same faults, in turn."""
