-- One row per prompt that a model continued: its state and requests, and the continuation without the prompt.
CREATE VIEW generations AS
SELECT s.parent AS state, q.parent AS requests, g.*
FROM payload_generations g
LEFT JOIN edges s ON s.child = g.artifact AND s.role = 'state'
LEFT JOIN edges q ON q.child = g.artifact AND q.role = 'requests';
