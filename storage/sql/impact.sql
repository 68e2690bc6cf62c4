-- Every artifact that was made from one of `starts`, however far down, and these themselves.
WITH RECURSIVE walk(id, depth) USING KEY (id) AS (
    SELECT id, 0 FROM starts
    UNION
    SELECT e.child, min(w.depth) + 1
    FROM walk w JOIN edges e ON e.parent = w.id
    WHERE NOT EXISTS (FROM recurring.walk seen WHERE seen.id = e.child)
    GROUP BY e.child
)
SELECT w.depth, a.id, a.kind, a.seconds
FROM walk w JOIN artifacts a USING (id)
