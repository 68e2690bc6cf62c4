-- One row per artifact: its recipe (kind, version, spec, inputs), the digest of its content, and how it was created.
CREATE VIEW artifacts AS
SELECT
    id, kind, version, spec::JSON AS spec, inputs, digest, "rows", bytes,
    try_cast(created_at AS TIMESTAMP) AS created_at,  -- UTC
    created_by, seconds, environment::JSON AS environment, about::JSON AS about
FROM index_artifacts;
