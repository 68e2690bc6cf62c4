-- One row per evaluated prompt: state and requests it belongs to, likelihoods of both targets, success, accuracy.
CREATE VIEW evaluations AS
SELECT s.parent AS state, q.parent AS requests, e.*
FROM payload_evaluation e
LEFT JOIN edges s ON s.child = e.artifact AND s.role = 'state'
LEFT JOIN edges q ON q.child = e.artifact AND q.role = 'requests';
