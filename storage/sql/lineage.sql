-- Every edge met on the way up (to parents) or down (to children) from $start, with the shortest distance.
-- The walk keeps one row an artifact (USING KEY), or a long list of states would be walked once for every path.
WITH RECURSIVE directed AS (
    SELECT
        CASE WHEN $up THEN child ELSE parent END AS near,
        CASE WHEN $up THEN parent ELSE child END AS far,
        role
    FROM edges
),
walk(id, depth) USING KEY (id) AS (
    SELECT $start::VARCHAR, 0
    UNION
    SELECT d.far, min(w.depth) + 1
    FROM walk w JOIN directed d ON d.near = w.id
    WHERE NOT EXISTS (FROM recurring.walk seen WHERE seen.id = d.far)
    GROUP BY d.far
)
SELECT w.depth, d.far AS id, a.kind, d.role, d.near AS via
FROM directed d
JOIN walk n ON n.id = d.near
JOIN walk w ON w.id = d.far
LEFT JOIN artifacts a ON a.id = d.far
ORDER BY w.depth, d.role, d.far, d.near;
