-- One row per edited tensor of each state (edited model): its parent state, the number of earlier batches (depth), the
-- form and norm of the change, and the digest and norm of the resulting weight.
CREATE VIEW states AS
WITH RECURSIVE links AS (
    SELECT a.id AS artifact, e.parent
    FROM artifacts a LEFT JOIN edges e ON e.child = a.id AND e.role = 'state'
    WHERE a.kind = 'state'
),
depths AS (
    -- A state whose parent is not a state (the loaded model, or nothing) is the first of its chain.
    SELECT artifact, parent, 0 AS depth FROM links WHERE parent IS NULL OR parent NOT IN (SELECT artifact FROM links)
    UNION ALL
    SELECT l.artifact, l.parent, d.depth + 1 FROM links l JOIN depths d ON l.parent = d.artifact
)
SELECT p.artifact, d.parent, d.depth, p.* EXCLUDE (artifact)
FROM payload_state p JOIN depths d USING (artifact);
