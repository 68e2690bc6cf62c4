-- One row per evaluated prompt: state and requests it belongs to, mean NLL of the answer that the edit is to bring and of
-- the one that must stay, success, accuracy, token accuracy = hits / tokens; edited: another request changes what it asks;
-- said: the most likely token in place of each of the wanted answer's.
CREATE VIEW evaluations AS
SELECT s.parent AS state, q.parent AS requests, e.*
FROM payload_evaluation e
LEFT JOIN edges s ON s.child = e.artifact AND s.role = 'state'
LEFT JOIN edges q ON q.child = e.artifact AND q.role = 'requests';
