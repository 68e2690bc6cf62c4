-- One row per edited fact: the request, the state that its target value was optimised on, and the optimisation's result.
CREATE VIEW edits AS
SELECT
    t.artifact, s.parent AS state, r.artifact AS requests, t.request, r.position, r.relation, r.subject, r.prompt,
    r.target_new, r.target_true, t.layer, t.loss, t.nll, t.kl, t.weight_decay, t.h_norm, t.delta_norm, t.steps,
    t.stopped
FROM payload_target_values t
JOIN edges q ON q.child = t.artifact AND q.role = 'requests'
JOIN payload_requests r ON r.artifact = q.parent AND r.request = t.request
LEFT JOIN edges s ON s.child = t.artifact AND s.role = 'state';
