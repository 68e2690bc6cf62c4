-- The artifacts whose id starts with a text, and everything made from them, directly or indirectly.
CREATE MACRO downstream(start) AS TABLE
WITH RECURSIVE steps AS MATERIALIZED (SELECT child, parent FROM edges),
walk(id, depth) USING KEY (id) AS (
    SELECT id, 0 FROM artifacts WHERE starts_with(id, start)
    UNION
    SELECT s.child, min(w.depth) + 1
    FROM walk w JOIN steps s ON s.parent = w.id
    WHERE NOT EXISTS (FROM recurring.walk seen WHERE seen.id = s.child)
    GROUP BY s.child
)
SELECT w.id AS artifact, a.kind, w.depth FROM walk w LEFT JOIN artifacts a USING (id);
