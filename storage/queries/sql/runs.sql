-- One row per run: its spec and how it ended; status is running, died (crashed), completed, failed, interrupted, or
-- damaged if its record cannot be read.
CREATE VIEW runs AS
SELECT DISTINCT ON (run_id)
    run_id, name, status, try_cast(started_at AS TIMESTAMP) AS started_at, try_cast(finished_at AS TIMESTAMP) AS finished_at,
    date_diff('millisecond', try_cast(started_at AS TIMESTAMP), try_cast(finished_at AS TIMESTAMP)) / 1000 AS seconds,
    message, state, spec::JSON AS spec, spec_path, summary::JSON AS summary,
    environment::JSON AS environment, host, pid
FROM index_runs
-- A run has one row from its start and one from its end; keep the latter. A crashed run has only the former.
ORDER BY run_id, finished_at IS NULL, status = 'running';
