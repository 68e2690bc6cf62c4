-- One row per run and artifact that it created or reused, with the stage and the seconds that creating it took.
CREATE VIEW uses AS
SELECT DISTINCT ON (run_id, artifact) run_id, artifact, stage, how, seconds
FROM index_uses
ORDER BY run_id, artifact, how;
