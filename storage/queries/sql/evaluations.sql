-- One row per evaluated prompt: its state and requests, the mean NLL of the new and of the original answer, success,
-- accuracy, and token accuracy = hits / tokens; edited: another request edits the fact that the prompt asks for; said:
-- the most likely token at each position of the expected answer.
CREATE VIEW evaluations AS
SELECT s.parent AS state, q.parent AS requests, e.*
FROM payload_evaluation e
LEFT JOIN edges s ON s.child = e.artifact AND s.role = 'state'
LEFT JOIN edges q ON q.child = e.artifact AND q.role = 'requests';
