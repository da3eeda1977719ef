-- requires: 22.3

DROP VIEW IF EXISTS parameter_depths;
