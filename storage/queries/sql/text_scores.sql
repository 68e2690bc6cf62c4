-- One row per metric and generated text: the state that generated it, its requests, and the metric's value (null: not
-- available). Metrics over all texts of a request have prompt_index 0.
CREATE VIEW text_scores AS
SELECT coalesce(s.parent, w.parent) AS state, q.parent AS requests, t.*
FROM payload_text_scores t
LEFT JOIN edges s ON s.child = t.artifact AND s.role = 'state'
LEFT JOIN edges g ON g.child = t.artifact AND g.role = 'generations'
LEFT JOIN edges w ON w.child = g.parent AND w.role = 'state'
LEFT JOIN edges q ON q.child = t.artifact AND q.role = 'requests';
