-- One row per layer and metric: how far a state's hidden states for fixed prompts have moved from those of another
-- state, the base; the prompts are from requests.
CREATE VIEW drifts AS
SELECT s.parent AS state, b.parent AS base, q.parent AS requests, d.*
FROM payload_drift d
LEFT JOIN edges e ON e.child = d.artifact AND e.role = 'edited'
LEFT JOIN edges s ON s.child = e.parent AND s.role = 'state'
LEFT JOIN edges q ON q.child = e.parent AND q.role = 'requests'
LEFT JOIN edges f ON f.child = d.artifact AND f.role = 'base'
LEFT JOIN edges b ON b.child = f.parent AND b.role = 'state';
