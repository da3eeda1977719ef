-- Without progress the writer looks every record up again; nothing is lost.

DROP TABLE IF EXISTS parameter_versions;
DROP TABLE IF EXISTS audit_progress;
