-- The artifacts whose id starts with a text, and everything that they were made from, directly or indirectly.
CREATE MACRO upstream(start) AS TABLE
WITH RECURSIVE steps AS MATERIALIZED (SELECT child, parent FROM edges),
walk(id, depth) USING KEY (id) AS (
    SELECT id, 0 FROM artifacts WHERE starts_with(id, start)
    UNION
    SELECT s.parent, min(w.depth) + 1
    FROM walk w JOIN steps s ON s.child = w.id
    WHERE NOT EXISTS (FROM recurring.walk seen WHERE seen.id = s.parent)
    GROUP BY s.parent
)
SELECT w.id AS artifact, a.kind, w.depth FROM walk w LEFT JOIN artifacts a USING (id);
